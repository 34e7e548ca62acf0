"""Tokens of other issuers (CONTRACT 4, class 2): whom they prove, what is refused, and what happens when
the issuer is not there."""
import concurrent.futures
import http.client
import itertools
import json
import sqlite3
import time

import pytest
import requests

from harness.door import Door, assert_refused, b64u, before_its_end, joined, parts, unb64u
from harness.gateway import wait_for
from harness.issuer import Issuer, ServedIssuer
from harness.wait import SPREAD, until

ALGS = ("ES256", "RS256", "PS256", "EdDSA")


class House(Door):
    """A gateway that believes some issuers, and a service account for `robot` of the first."""

    def __init__(self, gw, *issuers):
        super().__init__(gw)
        self.issuer = issuers[0]
        self.robot = self.account(self.issuer, "robot")

    def account(self, issuer, subject, *assignments, **body):
        return self.service_account(*assignments, kind="jwt", issuer=issuer.name, subject=subject, **body)[0]

    def status(self, token, replica=0):
        return self.gw.call("GET", "/v1/me", token=token, replica=replica).status_code


@pytest.fixture
def house(gateway, tmp_path):
    issuer = Issuer(tmp_path, algs=ALGS)
    return House(gateway(config={"issuers": [issuer.config()]}), issuer)


@pytest.mark.parametrize("alg", ALGS)
def test_a_token_proves_the_account_that_lists_it(house, alg):
    for typ in ("at+jwt", "application/at+jwt", "JWT", None):
        token = house.issuer.token(alg=alg, head={"typ": typ})
        for _ in range(3):  # verified, then remembered
            r = house.me(f"Bearer {token}")
            assert r.status_code == 200, r.text
            assert r.json()["id"] == house.robot and r.json()["kind"] == "service_account"
            assert r.json()["auth"]["method"] == "external_jwt" and r.json()["auth"]["amr"] == ["fed"]
            assert "session_id" not in r.json()["auth"]


def test_audience_in_a_list(house):
    assert house.status(house.issuer.token(aud=["other", "gateway"])) == 200
    assert house.status(house.issuer.token(aud=["other", "gateways"])) == 401


def test_the_account_decides_and_is_revoked_at_once(house):
    token = house.issuer.token()
    path = f"/admin/service-accounts/{house.robot}"
    assert house.gw.call("GET", "/admin/tenants", token=token, listener="admin").status_code == 403
    a = house.gw.admin("POST", "/admin/assignments", house.good,
                       {"principal": house.robot, "tenant": "*", "role": "platform-admin"})
    assert house.gw.call("GET", "/admin/tenants", token=token, listener="admin").status_code == 200
    house.gw.admin("DELETE", f"/admin/assignments/{a['id']}", house.good)
    assert house.gw.call("GET", "/admin/tenants", token=token, listener="admin").status_code == 403
    house.gw.admin("PATCH", path, house.good, {"disabled": True})
    assert_refused(house.me(f"Bearer {token}"))
    house.gw.admin("PATCH", path, house.good, {"disabled": False})
    assert house.status(token) == 200
    [c] = house.gw.admin("GET", f"{path}/credentials", house.good)["items"]
    assert c["kind"] == "jwt" and c["issuer"] == house.issuer.name and c["subject"] == "robot" and c["last_used_at"]
    house.gw.admin("DELETE", f"{path}/credentials/{c['id']}", house.good)
    assert_refused(house.me(f"Bearer {token}"))  # the remembered one
    assert_refused(house.me(f"Bearer {house.issuer.token()}"))


def test_a_credential_of_an_issuer_ends(house):
    def use(stamp):
        house.account(house.issuer, f"mayfly of {stamp}", expires_at=stamp)
        token = house.issuer.token(f"mayfly of {stamp}")
        assert house.status(token) == 200
        return token
    token, end = before_its_end(use)
    until(lambda: time.time() > end, what="the credential's end")
    assert_refused(house.me(f"Bearer {token}"))


def test_credentials_are_said_right(house):
    path = f"/admin/service-accounts/{house.robot}/credentials"

    def post(**body):
        return house.gw.call("POST", path, token=house.good, listener="admin", json=body)
    for body, field in (({"kind": "jwt", "subject": "x"}, "issuer"), ({"kind": "jwt", "issuer": "x"}, "subject"),
                        ({"kind": "certificate", "subject": "CN=x", "issuer": "x"}, "issuer"),
                        ({"kind": "secret", "issuer": "x"}, "issuer"), ({"kind": "api_key", "subject": "x"}, "subject")):
        r = post(**body)
        assert r.status_code == 400 and r.json()["details"]["field"] == field, r.text
    r = post(kind="jwt", issuer=house.issuer.name, subject="robot")
    assert r.status_code == 409, r.text
    r = post(kind="jwt", issuer="https://other.test", subject="robot")
    assert r.status_code == 201 and "secret" not in r.json()
    assert post(kind="certificate", subject="robot").status_code == 201  # another kind is another name


def test_gwctl_makes_one(house):
    house.gw.login()
    house.gw.ctl("service-account", "issue", house.robot, "--kind", "jwt", "--issuer", house.issuer.name,
                 "--subject", "repo:acme/app:ref:refs/heads/main")
    assert house.status(house.issuer.token("repo:acme/app:ref:refs/heads/main")) == 200


def test_scopes_narrow_and_never_widen(house):
    gw, issuer = house.gw, house.issuer
    gw.admin("POST", "/admin/assignments", house.good,
             {"principal": house.robot, "tenant": "*", "role": "platform-admin"})
    tenants = lambda t: gw.call("GET", "/admin/tenants", token=t, listener="admin").status_code
    system = lambda t: gw.call("GET", "/admin/status", token=t, listener="admin").status_code

    def capabilities(t):
        return set(gw.call("GET", "/v1/me", token=t).json()["capabilities"])
    assert tenants(issuer.token()) == system(issuer.token()) == 200
    for scope in ("iam.read", "openid iam.read profile", ["iam.read"], ["openid", "iam.read"], "iam.*"):
        t = issuer.token(scope=scope)
        for _ in range(2):
            assert (tenants(t), system(t)) == (200, 403), scope
        assert "gateway.iam.read" in capabilities(t) and "gateway.system.read" not in capabilities(t)
        assert gw.call("GET", "/v1/me/can?right=system.read", token=t).json()["allowed"] is False
        assert gw.call("GET", "/v1/me/can?right=iam.read", token=t).json()["allowed"] is True
    for scope in ("", [], "openid", "iam", "iam.rea", "xiam.read"):
        t = issuer.token(scope=scope)
        assert (tenants(t), system(t)) == (403, 403), scope
        assert capabilities(t) == set()
    house.account(issuer, "weak")
    assert tenants(issuer.token("weak", scope="iam.read")) == 403


def test_who_is_narrowed_gives_nothing_away(house):
    """A token for managing accounts could otherwise make itself a key without bounds."""
    gw = house.gw
    gw.admin("POST", "/admin/assignments", house.good,
             {"principal": house.robot, "tenant": "*", "role": "platform-admin"})
    t = house.issuer.token(scope="iam.write iam.read")
    post = lambda path, body, token=t: gw.call("POST", path, token=token, listener="admin", json=body)
    user = gw.admin("POST", "/admin/users", house.good, {"email": "bo@example.test"})["id"]
    attempts = [("/admin/assignments", {"principal": user, "tenant": "*", "role": "platform-admin"}),
                (f"/admin/service-accounts/{house.robot}/credentials", {"kind": "api_key"}),
                ("/admin/roles", {"id": "mighty", "rights": [{"right": "*"}]})]
    for path, body in attempts:
        r = post(path, body)
        assert r.status_code == 403, f"{path}: {r.text}"
        assert post(path, body, house.issuer.token()).status_code == 201  # without scopes it may
    assert post("/admin/users", {"email": "cy@example.test"}).status_code == 201  # what is in its scopes


def wrong(house, other):
    """(name, token): each a good token with one thing wrong."""
    issuer = house.issuer
    now = int(time.time())
    t = issuer.token
    yield "another audience", t(aud="gateways")
    yield "no audience", t(aud=None)
    yield "audience empty", t(aud=[])
    yield "audience number", t(aud=7)
    yield "audience nested", t(aud=[["gateway"]])
    yield "our issuer's name", t(iss="http://gateway.test")
    yield "an unknown issuer", t(iss="https://nobody.test")
    yield "issuer with a slash", t(iss=issuer.name + "/")
    yield "issuer in capitals", t(iss=issuer.name.upper())
    yield "no issuer", t(iss=None)
    yield "another issuer's key", issuer.sign(issuer.claims(), key=other.keys["ES256"])
    yield "another issuer's key under our kid", issuer.sign(
        issuer.claims(), key=other.keys["ES256"], head={"kid": issuer.keys["ES256"].kid})
    yield "expired", t(exp=now)
    yield "expired long ago", t(exp=now - 100)
    yield "no exp", t(exp=None)
    yield "exp as text", t(exp=str(now + 300))
    yield "exp with a fraction", t(exp=now + 300.5)
    yield "exp past all", t(exp=10 ** 18)
    yield "exp negative", t(exp=-1)
    yield "nbf ahead", t(nbf=int(time.time()) + 90)
    yield "iat ahead", t(iat=int(time.time()) + 90)
    yield "no subject", t(None)
    yield "subject empty", t("")
    yield "subject unknown", t("nobody")
    yield "subject longer", t("robot ")
    yield "subject in capitals", t("ROBOT")
    yield "subject a number", t(7)
    yield "subject with a control", t("ro\x00bot")
    yield "subject too long", t("x" * 600)
    yield "an ID token", t(head={"typ": "JWT"}, nonce="n")
    yield "an ID token by hash", t(head={"typ": "JWT"}, at_hash="x")
    yield "an ID token as Keycloak says it", t(head={"typ": "JWT"}, typ="ID")
    yield "a refresh token as Keycloak says it", t(head={"typ": "JWT"}, typ="Refresh")
    yield "an ID token as Cognito says it", t(head={"typ": "JWT"}, token_use="id")
    yield "a logout token", t(head={"typ": "logout+jwt"})
    yield "a logout event", t(events={"http://schemas.openid.net/event/backchannel-logout": {}})
    yield "a refresh token", t(head={"typ": "rt+jwt"})
    yield "a DPoP proof", t(head={"typ": "dpop+jwt"})
    yield "bound to a key", t(cnf={"jkt": "x"})
    yield "scope an object", t(scope={"a": 1})
    yield "scope with numbers", t(scope=[1])
    yield "key in the header", t(head={"jwk": json.loads(issuer.keys["ES256"].export_public())})
    yield "address of keys", t(head={"jku": "https://issuer.test/keys"})
    yield "address of certificates", t(head={"x5u": "https://issuer.test/keys"})
    yield "crit", t(head={"crit": ["b64"], "b64": True})
    h, c, s = t().split(".")
    yield "claims twice", f"{h}.{b64u(unb64u(c)[:-1] + b',' + unb64u(c)[1:])}.{s}"
    claims = json.dumps(issuer.claims())
    for member in ('"sub":"robot"', '"aud":"gateway"', f'"iss":"{issuer.name}"', f'"exp":{now + 600}', '"s\\u0075b":"robot"'):
        yield f"twice {member}", issuer.sign(claims[:-1] + "," + member + "}")
    yield "header twice", f'{b64u(unb64u(h)[:-1] + b",%s}" % json.dumps({"alg": "ES256"})[1:-1].encode())}.{c}.{s}'
    head, body, sig = parts(t())
    for none in ("none", "None", "NONE", "nOnE", "", "null"):
        yield f"alg {none!r}", joined({**head, "alg": none}, body, b"")
        yield f"alg {none!r}, signed", joined({**head, "alg": none}, body, sig)
    yield "alg null", joined({**head, "alg": None}, body, sig)
    yield "alg in small letters", joined({**head, "alg": "es256"}, body, sig)
    yield "alg of another key", joined({**head, "alg": "RS256"}, body, sig)
    yield "edited claims", joined(head, {**body, "sub": "robot2"}, sig)
    yield "edited exp", joined(head, {**body, "exp": body["exp"] + 60}, sig)
    yield "no claims", joined(head, {}, sig)
    yield "claims an array", joined(head, [body], sig)
    yield "too long for any header", t(pad="x" * 20000)
    yield "long", t(pad="x" * 7000)


def hs_forgeries(issuer):
    import hashlib
    import hmac
    for alg, key in issuer.keys.items():
        public = json.loads(key.export_public())
        secrets = [json.dumps(public).encode(), key.export_public().encode()]
        if alg != "EdDSA":
            secrets.append(key.export_to_pem())
        for hs, digest in (("HS256", hashlib.sha256), ("HS384", hashlib.sha384), ("HS512", hashlib.sha512)):
            for secret in secrets:
                text = joined({"alg": hs, "typ": "at+jwt", "kid": key.kid}, issuer.claims(), b"")[:-1]
                yield f"{hs} with the {alg} key", f"{text}.{b64u(hmac.new(secret, text.encode(), digest).digest())}"


def test_what_is_refused(gateway, tmp_path):
    issuer, other = Issuer(tmp_path, algs=ALGS), Issuer(tmp_path, name="https://other.test", algs=("ES256",))
    house = House(gateway(config={"issuers": [issuer.config(), other.config()]}), issuer, other)
    house.account(other, "robot")
    cases = 0
    for name, token in itertools.chain(wrong(house, other), hs_forgeries(issuer)):
        cases += 1
        for _ in range(2):
            r = house.me(f"Bearer {token}")
            assert r.status_code == 401 or (r.status_code == 431 and "any header" in name), f"{name}: {r.text}"
            if r.status_code == 401:
                assert_refused(r)
    assert cases > 90 and house.status(issuer.token()) == 200
    assert house.me(f"Bearer {other.token()}").json()["id"] != house.robot  # the other's robot is another
    # what the edges leave
    now = int(time.time())
    for claims in ({"nbf": now + 30}, {"iat": now + 30}, {"iat": None}, {"jti": None}, {"nbf": 0}, {"sub": "robot", "x": None},
                   {"typ": "Bearer"}, {"token_use": "access"}):
        assert house.status(issuer.token(**{k: v for k, v in claims.items() if k != "sub"})) == 200, claims
    assert house.status(issuer.token(head={"typ": "JWT"}, typ="Bearer", nonce="n")) == 200


def test_only_the_algorithms_that_are_allowed(gateway, tmp_path):
    issuer = Issuer(tmp_path, algs=ALGS)
    house = House(gateway(config={"issuers": [issuer.config(algs=["ES256"])]}), issuer)
    assert [house.status(issuer.token(alg=a)) for a in ALGS] == [200, 401, 401, 401]


def test_claims_by_other_names(gateway, tmp_path):
    issuer = Issuer(tmp_path)
    gw = gateway(config={"issuers": [issuer.config(subject_claim="azp", scope_claim="scp")]})
    house = House(gw, issuer)
    gw.admin("POST", "/admin/assignments", house.good, {"principal": house.robot, "tenant": "*", "role": "platform-admin"})
    assert_refused(house.me(f"Bearer {issuer.token()}"))  # no azp; sub means nothing
    assert house.status(issuer.token("whoever", azp="robot")) == 200
    t = issuer.token("whoever", azp="robot", scp=["iam.read"], scope="*")
    assert gw.call("GET", "/admin/status", token=t, listener="admin").status_code == 403
    assert gw.call("GET", "/admin/tenants", token=t, listener="admin").status_code == 200


# ---- keys that come and go ----------------------------------------------------------------------

def test_by_discovery_and_a_new_key(gateway, tmp_path):
    issuer = ServedIssuer(tmp_path)
    house = House(gateway(config={"issuers": [issuer.config()]}), issuer)
    old = issuer.token()
    wait_for(house.gw, lambda: house.status(old) == 200, what="the issuer's keys")
    issuer.add_key("ES256")  # another; the old one is gone
    new = issuer.token()
    wait_for(house.gw, lambda: house.status(new) == 200, what="the new key")
    assert_refused(house.me(f"Bearer {old}"))  # though it was remembered


def test_made_up_kids_ask_the_issuer_seldom(gateway, tmp_path):
    issuer = ServedIssuer(tmp_path)
    house = House(gateway(config={"issuers": [issuer.config()]}), issuer)
    wait_for(house.gw, lambda: house.status(issuer.token()) == 200, what="the issuer's keys")
    before = len(issuer.asked)
    for i in range(50):
        assert_refused(house.me(f"Bearer {issuer.token(head={'kid': f'made-up-{i}'})}"))
    assert len(issuer.asked) - before <= 4  # metadata and keys, once or twice


def test_an_issuer_that_is_down_at_the_start(gateway, tmp_path):
    issuer = ServedIssuer(tmp_path)
    issuer.down()
    house = House(gateway(config={"issuers": [issuer.config()]}), issuer)
    token = issuer.token()
    r = house.me(f"Bearer {token}")
    assert r.status_code == 503 and r.json()["code"] == "provider_unavailable" and r.headers["retry-after"]
    assert house.me(f"Bearer {house.good}").status_code == 200  # others don't suffer
    assert house.gw.call("GET", "/ready").status_code == 200
    issuer.up()
    wait_for(house.gw, lambda: house.status(token) == 200, what="the issuer")
    issuer.down()
    assert house.status(token) == house.status(issuer.token()) == 200  # the keys that are known stay


@pytest.mark.parametrize("text", [None, "", "no json", "{}", '{"keys":[]}', '{"keys":[{"kty":"oct","k":"AAAA"}]}'])
def test_a_key_file_that_is_no_use(gateway, tmp_path, text):
    issuer = Issuer(tmp_path)
    issuer.path.unlink()
    if text is not None:
        issuer.path.write_text(text)
    house = House(gateway(config={"issuers": [issuer.config()]}), issuer)
    r = house.me(f"Bearer {issuer.token()}")
    assert r.status_code == 503 and r.json()["code"] == "provider_unavailable"
    r = house.me(f"Bearer {joined({'alg': 'none', 'typ': 'at+jwt'}, issuer.claims(), b'')}")
    assert r.status_code in (401, 503)
    assert house.me(f"Bearer {house.good}").status_code == 200


def test_a_flood_of_forgeries_keeps_nobody_out(gateway, tmp_path):
    """Past so many bad signatures a second the control lane checks the unknown ones: still none is taken, and
    good ones come in, those that are known as well as new ones."""
    issuer = Issuer(tmp_path, algs=("ES256",))
    house = House(gateway(config={"issuers": [issuer.config()], "workers": 1}), issuer)
    known = issuer.token()
    assert house.status(known) == 200
    head, claims, sig = parts(known)
    statuses = []

    def forge(i):
        token = joined(head, {**claims, "jti": str(i)}, sig)
        with requests.Session() as s:
            statuses.append(s.get(f"{house.gw.replicas[0].http}/v1/me", headers={"authorization": f"Bearer {token}"}).status_code)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(forge, range(1500)))
        assert set(statuses) == {401}
        assert house.status(known) == house.status(issuer.token()) == 200


# ---- two replicas --------------------------------------------------------------------------------

def test_an_account_is_revoked_on_both_replicas(gateway, nats, tmp_path):
    issuer = Issuer(tmp_path)
    gw = gateway(store="rqlite", replicas=2, nats=nats, config={"issuers": [issuer.config()]})
    house = House(gw, issuer)
    token = issuer.token()
    wait_for(gw, lambda: house.status(token, 1) == 200, SPREAD, "the account on the other replica")
    assert house.status(token, 0) == 200
    [c] = gw.admin("GET", f"/admin/service-accounts/{house.robot}/credentials", house.good)["items"]
    gw.admin("DELETE", f"/admin/service-accounts/{house.robot}/credentials/{c['id']}", house.good)
    assert house.status(token, 0) == 401
    wait_for(gw, lambda: house.status(token, 1) == 401, SPREAD, "the other replica to refuse")


@pytest.mark.parametrize("kind", ["user", "account"])
def test_nothing_is_left_of_whom_a_revocation_overtook(house, kind):
    """Requests ask whose a subject is while it is taken away: what they found is not remembered."""
    gw = house.gw
    if kind == "user":
        ada = {"email": "ada@example.test", "password": "plenty of salt in the sea"}
        owner = gw.admin("POST", "/admin/users", house.good, ada)["id"]
        path, body = f"/admin/users/{owner}/identities", {}
    else:
        path, body = f"/admin/service-accounts/{house.robot}/credentials", {"kind": "jwt"}

    def ask(token):
        c = http.client.HTTPConnection(gw.replicas[0].address["http"], timeout=60)
        c.request("GET", "/v1/me", headers={"authorization": f"Bearer {token}"})
        status = c.getresponse().status
        c.close()
        return status
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for n in range(400):
            listed = gw.admin("POST", path, house.good, {**body, "issuer": house.issuer.name, "subject": f"s{n}"})
            tokens = [house.issuer.token(f"s{n}", jti=str(i)) for i in range(16)]
            asked = [pool.submit(ask, t) for t in tokens[:8]]
            gone = pool.submit(gw.admin, "DELETE", f"{path}/{listed['id']}", house.good)
            asked += [pool.submit(ask, t) for t in tokens[8:]]
            gone.result()
            assert {x.result() for x in asked} <= {200, 401}
            assert {ask(t) for t in tokens} == {401}


# ---- users ---------------------------------------------------------------------------------------

def linked(house, email, subject):
    """A user whose identity at the issuer is that subject."""
    user = house.gw.admin("POST", "/admin/users", house.good, {"email": email, "password": "plenty of salt in the sea"})
    i = house.gw.admin("POST", f"/admin/users/{user['id']}/identities", house.good,
                       {"issuer": house.issuer.name, "subject": subject})
    return user["id"], i


def test_a_token_proves_the_user_whose_identity_it_is(house):
    gw, issuer = house.gw, house.issuer
    token = issuer.token("ada-7")
    assert_refused(house.me(f"Bearer {token}"))
    ada, i = linked(house, "ada@example.test", "ada-7")
    for _ in range(2):
        r = house.me(f"Bearer {token}")
        assert r.status_code == 200 and r.json()["id"] == ada and r.json()["kind"] == "user", r.text
        assert r.json()["auth"]["method"] == "external_jwt"
    # an address means nothing, nor does the same subject elsewhere
    assert_refused(house.me(f"Bearer {issuer.token('ada@example.test', email='ada@example.test')}"))
    # what needs a sign-in of its own is not for a token
    r = gw.call("POST", "/v1/auth/mfa/totp/enroll", token=token, json={})
    assert r.status_code in (200, 403)
    gw.admin("PATCH", f"/admin/users/{ada}", house.good, {"disabled": True})
    assert_refused(house.me(f"Bearer {token}"))
    gw.admin("PATCH", f"/admin/users/{ada}", house.good, {"disabled": False})
    assert house.status(token) == 200
    gw.admin("DELETE", f"/admin/users/{ada}/identities/{i['id']}", house.good)
    assert_refused(house.me(f"Bearer {token}"))
    # the subject moves on to somebody else, at once
    bo, _ = linked(house, "bo@example.test", "ada-7")
    assert house.me(f"Bearer {token}").json()["id"] == bo
    gw.admin("DELETE", f"/admin/users/{bo}", house.good)
    assert_refused(house.me(f"Bearer {token}"))


def test_scopes_narrow_what_a_user_may_do_with_itself(house):
    linked(house, "ada@example.test", "ada-7")
    ada = house.gw.signin("ada@example.test", "plenty of salt in the sea")["access_token"]
    for scope in ("", "query.execute", "*"):
        token = house.issuer.token("ada-7", scope=scope)
        assert house.status(token) == 200
        for method, path, body in (("POST", "mfa/totp/enroll", {}), ("POST", "signout", {"everywhere": True}),
                                   ("GET", "sessions", None)):
            r = house.gw.call(method, f"/v1/auth/{path}", token=token, json=body)
            assert (r.status_code, r.json()["code"]) == (403, "forbidden"), r.text
    assert house.status(ada) == 200


def test_nobody_takes_the_subject_of_somebody_else(house):
    """What both know would be nobody: so a second one would shut the first one out."""
    linked(house, "ada@example.test", "ada-7")
    other = house.gw.admin("POST", "/admin/service-accounts", house.good, {"name": "other"})["id"]
    r = house.gw.call("POST", f"/admin/service-accounts/{other}/credentials", token=house.good, listener="admin",
                      json={"kind": "jwt", "issuer": house.issuer.name, "subject": "ada-7"})
    assert r.status_code == 409, r.text
    bo = house.gw.admin("POST", "/admin/users", house.good, {"email": "bo@example.test"})["id"]
    r = house.gw.call("POST", f"/admin/users/{bo}/identities", token=house.good, listener="admin",
                      json={"issuer": house.issuer.name, "subject": "robot"})
    assert (r.status_code, r.json()["code"]) == (409, "identity_taken"), r.text
    assert house.status(house.issuer.token("ada-7")) == house.status(house.issuer.token()) == 200


def test_who_is_two_is_nobody(house):
    """The subject of a service account and of a user at the same time."""
    linked(house, "ada@example.test", "ada-7")
    with sqlite3.connect(house.gw.directory / "gateway.db", timeout=60) as db:  # a sign-in by that provider would
        db.execute("UPDATE identity SET subject = 'robot'")
    db.close()
    assert_refused(house.me(f"Bearer {house.issuer.token()}"))


def test_a_second_factor_is_not_skipped(house):
    import base64
    import struct
    import hashlib
    import hmac
    gw = house.gw
    linked(house, "ada@example.test", "ada-7")
    token = house.issuer.token("ada-7")
    assert house.status(token) == 200
    ada = gw.signin("ada@example.test", "plenty of salt in the sea")["access_token"]
    secret = gw.call("POST", "/v1/auth/mfa/totp/enroll", token=ada, json={}).json()["secret"]
    assert house.status(token) == 200  # not confirmed yet

    def code():
        key = base64.b32decode(secret + "=" * (-len(secret) % 8))
        mac = hmac.new(key, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
        at = mac[-1] & 15
        return f"{(struct.unpack('>I', mac[at:at + 4])[0] & 0x7fffffff) % 10 ** 6:06d}"
    r = gw.call("POST", "/v1/auth/mfa/totp/confirm", token=ada, json={"code": code()})
    assert r.status_code == 200, r.text
    assert_refused(house.me(f"Bearer {token}"))  # also the one that was let in before
    assert_refused(house.me(f"Bearer {house.issuer.token('ada-7')}"))


def test_identities_are_of_issuers_that_are_known(house):
    user = house.gw.admin("POST", "/admin/users", house.good, {"email": "ada@example.test"})
    for body in ({"issuer": "https://nobody.test", "subject": "x"}, {"subject": "x"}):
        r = house.gw.call("POST", f"/admin/users/{user['id']}/identities", token=house.good, listener="admin", json=body)
        assert r.status_code == 400 and r.json()["details"]["field"] == "issuer", r.text
