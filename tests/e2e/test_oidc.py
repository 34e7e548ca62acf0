"""Signing in by an OpenID provider: the real oidc-provider from npm, and a client that behaves like a browser."""
import concurrent.futures
import email
import email.policy
import re
import subprocess
import urllib.parse

import pytest

from harness.openid import CALLBACK, Browser, OpenId, settings
from harness.wait import until
from test_mfa import totp

GATEWAY = "http://gateway.test"
APP = "https://app.test/welcome"
PASSWORD = "seven purple otters juggle"
ACCOUNTS = {
    "ann": {"email": "ann@example.test", "email_verified": True, "name": "Ann Example"},
    "bob": {"email": "bob@example.test", "email_verified": True},
    "eve": {"email": "ann@example.test", "email_verified": False},
    "nobody": {},
}


def browser(gw, replica=0):
    return Browser({GATEWAY: gw.replicas[replica].http})


def code(r):
    return r.status_code, r.json()["code"]


@pytest.fixture
def provider(tmp_path):
    def start(**kw):
        return OpenId(tmp_path, {**ACCOUNTS, **kw.pop("accounts", {})}, **kw).start()
    return start


@pytest.fixture
def house(gateway, provider):
    """A gateway and a provider; house(config) → gateway."""
    def start(openid=None, store="sqlite", replicas=1, **config):
        p = provider(**(openid or {}))
        config, env = settings(p.issuer, **{k.replace("__", "."): v for k, v in config.items()})
        gw = gateway(store=store, replicas=replicas, config=config, env=env)
        gw.provider = p
        return gw
    return start


def start(gw, b, path="start", body=None, headers=None):
    r = b.request("POST", f"{GATEWAY}/v1/auth/oidc/google/{path}", json=body or {}, headers=headers or {})
    assert r.status_code == 200, r.text
    return r.json()


def callback_of(gw, b, login, **kw):
    return b.sign_in(start(gw, b, **kw)["authorization_url"], login)


def sign_in(gw, login, b=None):
    b = b or browser(gw)
    return b.request("GET", callback_of(gw, b, login))


def bearer(tokens):
    return {"authorization": f"Bearer {tokens['access_token']}"}


def me(gw, tokens):
    r = gw.call("GET", "/v1/me", token=tokens["access_token"])
    assert r.status_code == 200, r.text
    return r.json()


def user_with_password(gw, address="ann@example.test"):
    root = gw.signin()["access_token"]
    return gw.admin("POST", "/admin/users", root, {"email": address, "password": PASSWORD})


def letter(gw, subject):
    """The text of a letter in the spool, or None."""
    for f in gw.directory.glob("mail/[!.]*.eml"):
        m = email.message_from_bytes(f.read_bytes(), policy=email.policy.default)
        if subject in m["subject"]:
            return m.get_content()
    return None


def test_the_request_is_as_the_specifications_want_it(house):
    gw = house()
    b = browser(gw)
    r = b.request("POST", f"{GATEWAY}/v1/auth/oidc/google/start", json={})
    assert r.headers["cache-control"] == "no-store" and set(r.json()) == {"authorization_url"}
    url = urllib.parse.urlsplit(r.json()["authorization_url"])
    q = dict(urllib.parse.parse_qsl(url.query))
    assert f"{url.scheme}://{url.netloc}" == gw.provider.issuer
    assert (q["response_type"], q["redirect_uri"], q["code_challenge_method"]) == ("code", CALLBACK, "S256")
    assert q["scope"].split()[0] == "openid"
    assert len({q["state"], q["nonce"], q["code_challenge"]}) == 3
    assert all(len(q[k]) == 43 for k in ("state", "nonce", "code_challenge"))
    cookie = r.headers["set-cookie"]
    assert cookie.startswith("__Host-") and "Domain" not in cookie
    assert all(a in cookie for a in ("; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Max-Age=600"))
    assert q["state"] not in cookie and q["nonce"] not in cookie


@pytest.mark.parametrize("store", ["sqlite", "rqlite"])
def test_a_new_person_gets_an_account_and_keeps_it(house, store):
    gw = house(store=store, auth__signup="verify")
    b = browser(gw)
    r = sign_in(gw, "ann", b)
    assert r.status_code == 200, r.text
    assert (r.headers["cache-control"], r.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert not [c for c in b.cookies if c[2].startswith("__Host-oidc")]
    first = me(gw, r.json())
    assert first["email"] == "ann@example.test" and first["auth"]["amr"] == ["fed"]
    assert me(gw, sign_in(gw, "ann").json())["id"] == first["id"]
    root = gw.signin()["access_token"]
    user = gw.admin("GET", f"/admin/users/{first['id']}", root)
    assert (user["display_name"], user["email_verified"], user["has_password"]) == ("Ann Example", True, False)
    [identity] = gw.admin("GET", f"/admin/users/{first['id']}/identities", root)["items"]
    assert (identity["issuer"], identity["subject"]) == (gw.provider.issuer, "ann")
    refreshed = gw.call("POST", "/v1/auth/refresh", json={"refresh_token": r.json()["refresh_token"]})
    assert refreshed.status_code == 200


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_algorithms_and_client_authentication(house, alg, method):
    gw = house(openid={"alg": alg, "auth_method": method})
    assert sign_in(gw, "ann").status_code == 200


def test_an_address_that_only_userinfo_tells(house):
    gw = house(openid={"in_id_token": False}, auth__signup="verify")
    assert me(gw, sign_in(gw, "ann").json())["email"] == "ann@example.test"


def test_a_callback_is_good_once_and_in_one_browser(house):
    gw = house(replicas=2)
    b, other = browser(gw), browser(gw)
    url = callback_of(gw, b, "ann")
    start(gw, other)
    assert code(other.request("GET", url)) == (400, "oidc_state_invalid")
    assert code(Browser({GATEWAY: gw.replicas[0].http}).request("GET", url)) == (400, "oidc_state_invalid")
    saved = dict(b.cookies)
    b.hosts[GATEWAY] = gw.replicas[1].http  # begun at one replica, ended at the other
    assert b.request("GET", url).status_code == 200
    for replica in gw.replicas:
        again = Browser({GATEWAY: replica.http})
        again.cookies = dict(saved)
        assert code(again.request("GET", url)) == (400, "oidc_state_invalid")


@pytest.mark.parametrize("store", ["sqlite", "rqlite"])
def test_callbacks_at_once_have_one_winner(house, store):
    gw = house(store=store, replicas=2)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            b = browser(gw)
            url = callback_of(gw, b, "ann")

            def call(i):
                one = browser(gw, i % 2)
                one.cookies = dict(b.cookies)
                return one.request("GET", url)
            answers = list(pool.map(call, range(8)))
            assert sorted(r.status_code for r in answers) == [200] + 7 * [400], [r.text[:80] for r in answers]


def test_two_windows_of_one_browser(house):
    gw = house()
    b = browser(gw)
    urls = [start(gw, b)["authorization_url"] for _ in range(2)]
    assert b.request("GET", b.sign_in(urls[0], "ann")).status_code == 200
    assert b.request("GET", b.sign_in(urls[1], "ann")).status_code == 200


def test_edited_callbacks(house):
    gw = house()
    for edit in (lambda q: q.pop("state"), lambda q: q.update(state=q["state"].swapcase()), lambda q: q.update(state="x"),
                 lambda q: q.update(state="")):
        b = browser(gw)
        parts = urllib.parse.urlsplit(callback_of(gw, b, "ann"))
        q = dict(urllib.parse.parse_qsl(parts.query))
        edit(q)
        assert code(b.request("GET", f"{CALLBACK}?{urllib.parse.urlencode(q)}")) == (400, "oidc_state_invalid")
    for edit, want in ((lambda q: q.update(iss="https://evil.test"), "oidc_invalid"),
                       (lambda q: q.pop("iss"), "oidc_invalid"),  # it is announced, so it must be there
                       (lambda q: q.pop("code"), "oidc_invalid"),
                       (lambda q: q.update(code="guessed"), "oidc_refused"),
                       (lambda q: q.update(error="access_denied"), "oidc_refused")):
        b = browser(gw)
        parts = urllib.parse.urlsplit(callback_of(gw, b, "ann"))
        q = dict(urllib.parse.parse_qsl(parts.query))
        assert {"state", "code", "iss"} <= set(q)
        edit(q)
        r = b.request("GET", f"{CALLBACK}?{urllib.parse.urlencode(q)}")
        assert code(r) == (401, want), q
        if "error" in q:
            assert r.json()["details"] == {"error": "access_denied"}
    b = browser(gw)
    url = callback_of(gw, b, "ann")
    assert code(b.request("GET", url + "&state=" + url.split("state=")[1][:43])) == (400, "invalid_parameter")


def test_somebody_elses_code_is_worth_nothing(house):
    """The code of one sign-in in the callback of another: the PKCE verifier is not its own."""
    gw = house()
    victim, thief = browser(gw), browser(gw)
    stolen = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(callback_of(gw, victim, "ann")).query))["code"]
    mine = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(callback_of(gw, thief, "bob")).query))
    r = thief.request("GET", f"{CALLBACK}?{urllib.parse.urlencode({**mine, 'code': stolen})}")
    assert code(r) == (401, "oidc_refused")


# ---- who it is here -------------------------------------------------------------------------------

@pytest.mark.parametrize("mode,login,want", [
    ("off", "ann", (403, "signup_off")), ("verify", "eve", (403, "email_unverified")),
    ("off", "eve", (403, "email_unverified")), ("verify", "nobody", (403, "email_unverified")),
    ("open", "nobody", (403, "email_unverified"))])
def test_sign_up_by_its_policy(house, mode, login, want):
    gw = house(auth__signup=mode)
    assert code(sign_in(gw, login)) == want


def test_open_sign_up_takes_an_address_that_is_not_verified_but_never_links_by_it(house):
    gw = house(auth__signup="open")
    squatter = sign_in(gw, "eve")
    assert squatter.status_code == 200
    assert code(sign_in(gw, "ann")) == (409, "link_required")


def test_accounts_are_linked_by_address_only_when_both_sides_are_verified(house):
    gw = house(auth__signup="verify")
    user = user_with_password(gw)  # made by an administrator: nobody has shown that the address is theirs
    assert code(sign_in(gw, "ann")) == (409, "link_required")
    assert code(sign_in(gw, "eve")) == (403, "email_unverified")
    gw.call("POST", "/v1/auth/forgot", json={"email": "ann@example.test"})
    token = re.search(r"token=([\w-]+)", until(lambda: letter(gw, "Reset"))).group(1)
    assert gw.call("POST", "/v1/auth/reset", json={"token": token, "new_password": PASSWORD + "!"}).status_code == 204
    linked = sign_in(gw, "ann")
    assert linked.status_code == 200, linked.text
    assert me(gw, linked.json())["id"] == user["id"]
    until(lambda: letter(gw, "Another way to sign in"))
    assert code(sign_in(gw, "eve")) == (403, "email_unverified")


def test_whoever_proves_an_address_does_not_inherit_a_strangers_identity(house):
    """A stranger signs up with somebody's address first; the owner resets the password by mail."""
    gw = house(auth__signup="open")
    stranger = sign_in(gw, "eve").json()
    gw.call("POST", "/v1/auth/forgot", json={"email": "ann@example.test"})
    token = re.search(r"token=([\w-]+)", until(lambda: letter(gw, "Reset"))).group(1)
    assert gw.call("POST", "/v1/auth/reset", json={"token": token, "new_password": PASSWORD}).status_code == 204
    assert gw.call("GET", "/v1/me", token=stranger["access_token"]).status_code == 401
    assert code(sign_in(gw, "eve")) == (409, "link_required")
    mine = sign_in(gw, "ann")
    assert mine.status_code == 200 and me(gw, mine.json())["id"] == stranger["user"]["id"]


def test_a_disabled_or_removed_user(house):
    gw = house(auth__signup="verify")
    user = me(gw, sign_in(gw, "ann").json())["id"]
    root = gw.signin()["access_token"]
    gw.admin("PATCH", f"/admin/users/{user}", root, {"disabled": True})
    assert code(sign_in(gw, "ann")) == (401, "invalid_credentials")
    gw.admin("DELETE", f"/admin/users/{user}", root)
    assert me(gw, sign_in(gw, "ann").json())["id"] != user  # with the user, its identity was gone


def test_an_identity_is_its_subject_not_its_address(house, tmp_path):
    gw = house(auth__signup="verify", openid={"accounts": {"ann2": ACCOUNTS["ann"]}})
    ann = me(gw, sign_in(gw, "ann").json())["id"]
    # another subject with the same address, verified on both sides: linked, as the rule says, not replaced
    assert me(gw, sign_in(gw, "ann2").json())["id"] == ann
    root = gw.signin()["access_token"]
    gw.admin("PATCH", f"/admin/users/{ann}", root, {"email": "new@example.test"})
    identities = gw.admin("GET", f"/admin/users/{ann}/identities", root)["items"]
    assert sorted(i["subject"] for i in identities) == ["ann", "ann2"]


# ---- linking --------------------------------------------------------------------------------------

def link(gw, tokens, login, b=None, **body):
    b = b or browser(gw)
    url = start(gw, b, "link", body, bearer(tokens))["authorization_url"]
    return b.request("GET", b.sign_in(url, login))


def test_linking_and_unlinking(house):
    gw = house(auth__signup="verify")
    user_with_password(gw)
    tokens = gw.signin("ann@example.test", PASSWORD)
    r = link(gw, tokens, "bob")
    assert r.status_code == 200 and r.json()["subject"] == "bob", r.text
    assert link(gw, tokens, "bob").json()["id"] == r.json()["id"]  # again: the same
    root = gw.signin()["access_token"]
    until(lambda: [(a["actor"], a["outcome"]) for a in gw.admin(
        "GET", "/admin/audit?action=auth.oidc.callback", root)["items"]] == [(tokens["user"]["id"], "ok")] * 2)
    by_bob = sign_in(gw, "bob").json()
    assert me(gw, by_bob)["id"] == tokens["user"]["id"]
    [identity] = gw.call("GET", "/v1/auth/identities", token=tokens["access_token"]).json()["items"]
    assert identity["subject"] == "bob" and identity["last_used_at"]
    path = f"/v1/auth/identities/{identity['id']}"
    assert gw.call("DELETE", path, token=gw.signin()["access_token"]).status_code == 404  # not one's own
    until(lambda: letter(gw, "Another way to sign in"))
    assert gw.call("DELETE", path, token=tokens["access_token"]).status_code == 204
    until(lambda: letter(gw, "A way to sign in to your account was removed"))
    assert gw.call("GET", "/v1/me", token=by_bob["access_token"]).status_code == 401  # the other sessions end
    assert me(gw, tokens)
    assert gw.call("DELETE", path, token=tokens["access_token"]).status_code == 404
    assert me(gw, sign_in(gw, "bob").json())["id"] != tokens["user"]["id"]


def test_the_last_way_in_stays(house):
    gw = house(auth__signup="verify")
    tokens = sign_in(gw, "ann").json()
    [one] = gw.call("GET", "/v1/auth/identities", token=tokens["access_token"]).json()["items"]
    path = f"/v1/auth/identities/{one['id']}"
    assert code(gw.call("DELETE", path, token=tokens["access_token"])) == (409, "last_way_in")
    root = gw.signin()["access_token"]
    admin_path = f"/admin/users/{tokens['user']['id']}/identities/{one['id']}"
    assert code(gw.call("DELETE", admin_path, token=root, listener="admin")) == (409, "last_way_in")
    assert link(gw, tokens, "bob").status_code == 200
    assert gw.call("DELETE", path, token=tokens["access_token"]).status_code == 204
    [two] = gw.call("GET", "/v1/auth/identities", token=tokens["access_token"]).json()["items"]
    assert code(gw.call("DELETE", f"/v1/auth/identities/{two['id']}", token=tokens["access_token"])) == (
        409, "last_way_in")


@pytest.mark.parametrize("store", ["sqlite", "rqlite"])
def test_unlinking_both_at_once_leaves_one(house, store):
    gw = house(store=store, replicas=2, auth__signup="verify")
    tokens = sign_in(gw, "ann").json()
    assert link(gw, tokens, "bob").status_code == 200
    ids = [i["id"] for i in gw.call("GET", "/v1/auth/identities", token=tokens["access_token"]).json()["items"]]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        statuses = sorted(pool.map(lambda i: gw.call("DELETE", f"/v1/auth/identities/{ids[i]}", replica=i,
                                                     token=tokens["access_token"]).status_code, range(2)))
    assert statuses == [204, 409]


def test_somebody_elses_identity_is_not_linked(house):
    gw = house(auth__signup="verify")
    assert sign_in(gw, "bob").status_code == 200
    tokens = sign_in(gw, "ann").json()
    assert code(link(gw, tokens, "bob")) == (409, "identity_taken")


def test_linking_needs_a_session_that_lives_and_a_recent_sign_in(house):
    gw = house(auth__signup="verify")
    tokens = sign_in(gw, "ann").json()
    assert gw.call("POST", "/v1/auth/oidc/google/link", json={}).status_code == 401
    b = browser(gw)
    url = start(gw, b, "link", {}, bearer(tokens))["authorization_url"]
    assert gw.call("POST", "/v1/auth/signout", token=tokens["access_token"], json={}).status_code == 204
    assert code(b.request("GET", b.sign_in(url, "bob"))) == (401, "unauthenticated")
    assert me(gw, sign_in(gw, "bob").json())["id"] != tokens["user"]["id"]
    tokens = sign_in(gw, "ann").json()
    subprocess.run(["sqlite3", "-cmd", ".timeout 5000", gw.store_url[7:],
                    "UPDATE session SET auth_time = auth_time - 400000000"], check=True, timeout=60)
    tokens = gw.call("POST", "/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]}).json()
    r = gw.call("POST", "/v1/auth/oidc/google/link", json={}, token=tokens["access_token"])
    assert code(r) == (403, "recent_signin_required")


def test_administrators_and_identities(house):
    gw = house(auth__signup="off")
    root = gw.signin()["access_token"]
    user = user_with_password(gw, "bob@example.test")
    path = f"/admin/users/{user['id']}/identities"
    made = gw.admin("POST", path, root, {"subject": "bob"})
    assert made["issuer"] == gw.provider.issuer
    assert gw.admin("GET", f"{path}/{made['id']}", root) == made
    assert me(gw, sign_in(gw, "bob").json())["id"] == user["id"]
    assert code(gw.call("POST", path, token=root, listener="admin", json={"subject": "bob"})) == (409, "identity_taken")
    bad = {"subject": "x", "issuer": "https://accounts.google.com"}
    assert code(gw.call("POST", path, token=root, listener="admin", json=bad)) == (400, "invalid_field")
    # whoever may write users of a tenant links nothing to somebody who holds more
    gw.admin("POST", "/admin/tenants", root, {"id": "acme", "name": "Acme"})
    helper = gw.admin("POST", "/admin/users", root, {"email": "helper@example.test", "password": PASSWORD})
    gw.admin("POST", "/admin/assignments", root, {"principal": helper["id"], "tenant": "acme", "role": "tenant-admin"})
    admin = gw.call("GET", "/v1/me", token=root).json()["id"]
    gw.admin("POST", "/admin/assignments", root, {"principal": admin, "tenant": "acme", "role": "tenant-member"})
    t = gw.signin("helper@example.test", PASSWORD)["access_token"]
    r = gw.call("POST", f"/admin/users/{admin}/identities", token=t, listener="admin", json={"subject": "mallory"})
    assert code(r) == (403, "forbidden")
    # nor claims a subject for an account of its own tenant: its owner would be signed in there
    gw.admin("POST", "/admin/assignments", root, {"principal": user["id"], "tenant": "acme", "role": "tenant-member"})
    r = gw.call("POST", path, token=t, listener="admin", json={"subject": "eve"})
    assert code(r) == (403, "forbidden")
    assert gw.call("DELETE", f"{path}/{made['id']}", token=root, listener="admin").status_code == 204
    records = gw.admin("GET", "/admin/audit?action=users.identities.delete", root)["items"]
    assert [(a["outcome"], a["target"]) for a in records] == [("ok", made["id"])]


# ---- applications ---------------------------------------------------------------------------------

def test_back_to_the_application(house):
    gw = house(auth__signup="verify", oidc__return_to=["https://app.test/*"])
    b = browser(gw)
    begun = start(gw, b, body={"return_to": APP})
    r = b.request("GET", b.sign_in(begun["authorization_url"], "ann"))
    assert r.status_code == 302 and r.headers["location"].startswith(APP + "#code=")
    assert "token" not in r.text
    body = {"code": r.headers["location"].split("=")[1], "finish_token": begun["finish_token"]}
    finish = "/v1/auth/oidc/google/finish"
    other = start(gw, browser(gw), body={"return_to": APP})["finish_token"]
    assert code(gw.call("POST", finish, json={**body, "finish_token": other})) == (400, "token_invalid")
    r = gw.call("POST", finish, json=body)
    assert r.status_code == 200 and me(gw, r.json())["email"] == "ann@example.test"
    assert code(gw.call("POST", finish, json=body)) == (400, "token_invalid")
    begun = start(gw, b, body={"return_to": APP})
    q = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(begun["authorization_url"]).query))
    r = b.request("GET", f"{CALLBACK}?state={q['state']}&error=access_denied&iss={gw.provider.issuer}")
    assert (r.status_code, r.headers["location"]) == (302, APP + "#error=oidc_refused")


def test_finishing_at_once_has_one_winner(house):
    gw = house(replicas=2, oidc__return_to=["https://app.test/*"])
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            b = browser(gw)
            begun = start(gw, b, body={"return_to": APP})
            r = b.request("GET", b.sign_in(begun["authorization_url"], "ann"))
            body = {"code": r.headers["location"].split("=")[1], "finish_token": begun["finish_token"]}
            statuses = sorted(pool.map(lambda i: gw.call(
                "POST", "/v1/auth/oidc/google/finish", json=body, replica=i % 2).status_code, range(8)))
            assert statuses == [200] + 7 * [400]


@pytest.mark.parametrize("url,ok", [
    ("https://app.test/", True), ("https://app.test/a?b=c", True), ("https://one.sub.test/x", True),
    ("https://exact.test", True), ("https://exact.test/", True), ("https://exact.test/x", False),
    ("https://app.test", False), ("http://app.test/", False), ("https://app.test.evil.test/", False),
    ("https://app.test@evil.test/", False), ("https://app.test:444/", False), ("https://evil.test/app.test/", False),
    ("https://evil.test/.sub.test/", False), ("https://evil.test?.sub.test/x", False),
    ("https://app.test\\@evil.test/", False), ("https://app.test/../x", False), ("https://app.test/%2e%2e/x", False),
    ("https://app.test/#f", False), ("//app.test/", False), ("javascript:alert(1)//app.test/", False), ("", False)])
def test_where_one_may_return_to(house, url, ok):
    gw = house(oidc__return_to=["https://app.test/*", "https://*.sub.test/*", "https://exact.test"])
    r = gw.call("POST", "/v1/auth/oidc/google/start", json={"return_to": url})
    assert (r.status_code == 200) == ok, r.text
    if not ok:
        assert code(r) == (400, "invalid_field")


# ---- the second factor ----------------------------------------------------------------------------

@pytest.mark.parametrize("app", [False, True])
def test_a_second_factor_is_asked_for(house, app):
    gw = house(auth__signup="verify", oidc__return_to=["https://app.test/*"])
    tokens = sign_in(gw, "ann").json()
    secret = gw.call("POST", "/v1/auth/mfa/totp/enroll", token=tokens["access_token"], json={}).json()["secret"]
    r = gw.call("POST", "/v1/auth/mfa/totp/confirm", token=tokens["access_token"], json={"code": totp(secret)})
    recovery = r.json()["recovery_codes"]
    b = browser(gw)
    begun = start(gw, b, body={"return_to": APP} if app else {})
    r = b.request("GET", b.sign_in(begun["authorization_url"], "ann"))
    if app:
        body = {"code": r.headers["location"].split("=")[1], "finish_token": begun["finish_token"]}
        r = gw.call("POST", "/v1/auth/oidc/google/finish", json=body)
    assert code(r) == (401, "mfa_required")
    answer = {"mfa_token": r.json()["details"]["mfa_token"], "recovery_code": recovery[0]}
    r = gw.call("POST", "/v1/auth/mfa/verify", json=answer)
    assert r.status_code == 200 and me(gw, r.json())["auth"]["amr"] == ["rcv", "fed"], r.text


# ---- without a provider, and what is written down --------------------------------------------------

def test_without_a_provider_there_is_nothing(gateway):
    gw = gateway()
    for method, path in (("POST", "start"), ("GET", "callback"), ("POST", "finish")):
        r = gw.call(method, f"/v1/auth/oidc/google/{path}", json={} if method == "POST" else None)
        assert code(r) == (404, "not_found")


def test_a_provider_that_is_away_and_comes_back(gateway, tmp_path):
    p = OpenId(tmp_path, ACCOUNTS)
    config, env = settings(p.issuer)
    gw = gateway(config=config, env=env)
    r = gw.call("POST", "/v1/auth/oidc/google/start", json={})
    assert code(r) == (503, "provider_unavailable") and int(r.headers["retry-after"]) >= 1
    assert gw.call("GET", "/ready").status_code == 200
    p.start()
    until(lambda: gw.call("POST", "/v1/auth/oidc/google/start", json={}).status_code == 200)
    assert sign_in(gw, "ann").status_code == 200
    b = browser(gw)
    url = callback_of(gw, b, "ann")
    p.process.kill()
    assert code(b.request("GET", url)) == (503, "provider_unavailable")


def test_no_secret_is_written_down(house):
    gw = house(oidc__return_to=["https://app.test/*"], log__level="debug")
    secrets = set()
    for app in (False, True):
        b = browser(gw)
        begun = start(gw, b, body={"return_to": APP} if app else {})
        q = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(begun["authorization_url"]).query))
        secrets |= {q["state"], q["nonce"], begun.get("finish_token", q["state"])}
        secrets |= {v for (h, p, n), v in b.cookies.items() if n.startswith("__Host-")}
        url = b.sign_in(begun["authorization_url"], "ann")
        secrets.add(dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))["code"])
        r = b.request("GET", url)
        if app:
            handoff = r.headers["location"].split("=")[1]
            secrets.add(handoff)
            r = gw.call("POST", "/v1/auth/oidc/google/finish",
                        json={"code": handoff, "finish_token": begun["finish_token"]})
        secrets |= {r.json()["access_token"], r.json()["refresh_token"]}
        b.request("GET", url)  # a replay, which is refused
    b.request("GET", url)
    secrets.add("of 100% +entropy")
    root = gw.signin()["access_token"]
    until(lambda: '"op":"auth.oidc.finish"' in gw.replicas[0].process.output())
    places = {"log": gw.replicas[0].process.output(), "metrics": gw.call("GET", "/metrics", listener="admin").text,
              "audit": gw.call("GET", "/admin/audit?page_size=500", token=root, listener="admin").text}
    places["store"] = subprocess.run(["sqlite3", "-cmd", ".timeout 5000", gw.store_url[7:], ".dump"],
                                     capture_output=True, text=True, check=True, timeout=60).stdout
    for place, text in places.items():
        for secret in secrets:
            assert secret not in text, f"{secret} in {place}"


def test_with_curl_as_the_documentation_says(house, tmp_path):
    """Begun by curl and its cookie jar; a browser without the cookie brings the address."""
    gw = house()
    b = browser(gw)
    port = gw.replicas[0].port()

    def curl(*args):
        p = subprocess.run(["curl", "-s", "--resolve", f"localhost:{port}:127.0.0.1", *args], capture_output=True,
                           text=True, check=True, timeout=60, cwd=tmp_path)
        return p.stdout
    base = f"http://localhost:{port}/v1/auth/oidc/google"
    begun = curl("-c", "jar", "-X", "POST", f"{base}/start", "-H", "content-type: application/json", "-d", "{}")
    address = b.sign_in(re.search(r'"authorization_url":"([^"]+)"', begun).group(1), "ann")
    assert code(b.request("GET", address)) == (400, "oidc_state_invalid")
    query = urllib.parse.urlsplit(address).query
    assert '"access_token"' in curl("-b", "jar", f"{base}/callback?{query}")
    assert "oidc_state_invalid" in curl("-b", "jar", f"{base}/callback?{query}")
