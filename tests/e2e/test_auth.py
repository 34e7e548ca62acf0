"""Sign-up, sign-in, refresh, sign-out, sessions, passwords: over HTTP, on both stores."""
import concurrent.futures
import json
import re
import socket
import statistics
import time

import pytest

from harness.timing import processor_time
from harness.wait import until

PASSWORD = "seven purple otters juggle"


def post(gw, path, body=None, token=None, **kw):
    return gw.call("POST", path, token=token, json=body, **kw)


def signup(gw, email, password=PASSWORD):
    r = post(gw, "/v1/auth/signup", {"email": email, "password": password})
    assert r.status_code == 201, r.text
    return r.json()["user"]


def code(r):
    return r.status_code, r.json()["code"]


def test_signup_signin_me(gateway):
    gw = gateway()
    user = signup(gw, "Ann@Example.org")
    assert user["email"] == "Ann@Example.org" and not user["disabled"]
    t = gw.signin("ann@example.ORG", PASSWORD)
    assert set(t) == {"access_token", "token_type", "expires_in", "refresh_token", "refresh_expires_in",
                      "session_id", "user"}
    assert t["token_type"] == "Bearer" and t["expires_in"] == 300 and t["refresh_expires_in"] == 30 * 86400
    assert t["user"] == {"id": user["id"], "email": "Ann@Example.org"}
    r = gw.call("GET", "/v1/me", token=t["access_token"])
    assert r.status_code == 200
    me = r.json()
    assert me["id"] == user["id"] and me["kind"] == "user" and me["email"] == "Ann@Example.org"
    assert me["tenants"] == [] and me["capabilities"] == []
    assert me["auth"]["session_id"] == t["session_id"] and me["auth"]["amr"] == ["pwd"]


def test_tokens_are_not_cached_and_carry_no_roles(gateway):
    gw = gateway()
    r = post(gw, "/v1/auth/signin", {"email": "root@example.test", "password": "correct horse battery staple"})
    assert r.headers["cache-control"] == "no-store"
    import base64
    head, claims, _ = r.json()["access_token"].split(".")
    pad = lambda s: base64.urlsafe_b64decode(s + "=" * (-len(s) % 4))  # noqa: E731
    assert json.loads(pad(head))["typ"] == "at+jwt"
    assert set(json.loads(pad(claims))) == {"iss", "aud", "sub", "sid", "iat", "exp", "jti", "amr", "auth_time"}
    kids = [k["kid"] for k in gw.call("GET", "/.well-known/jwks.json").json()["keys"]]
    assert json.loads(pad(head))["kid"] in kids and len(kids) == 2


def test_email_taken_whatever_the_letters(gateway):
    gw = gateway()
    signup(gw, "ann@example.org")
    r = post(gw, "/v1/auth/signup", {"email": "ANN@EXAMPLE.ORG", "password": PASSWORD})
    assert code(r) == (409, "email_taken")


@pytest.mark.parametrize("mode, want", [("off", (403, "signup_off"))])
def test_signup_modes(gateway, mode, want):
    gw = gateway(config={"auth.signup": mode})
    assert code(post(gw, "/v1/auth/signup", {"email": "a@b.c", "password": PASSWORD})) == want


@pytest.mark.parametrize("body, want, field", [
    ({"email": "a@b.c"}, "invalid_field", "password"),
    ({"email": "nobody", "password": PASSWORD}, "invalid_field", "email"),
    ({"email": 1, "password": PASSWORD}, "invalid_field", "email"),
    ({"email": "a@b.c", "password": PASSWORD, "admin": True}, "unknown_field", "admin"),
    ({"email": "a@b.c", "password": "short"}, "weak_password", None),
    ({"email": "a@b.c", "password": "password"}, "weak_password", None),
])
def test_signup_refuses(gateway, body, want, field):
    r = post(gateway(), "/v1/auth/signup", body)
    assert code(r) == (400, want)
    assert field is None or r.json()["details"]["field"] == field


@pytest.mark.parametrize("body, where", [
    (b'{"email": "a@b.c",}', "line 1 column"),
    (b'{"email": "a", "email": "b"}', "duplicate"),
    (b"[" * 40, "nested"),
    (b"[]", "object"),
])
def test_broken_json_is_named(gateway, body, where):
    r = gateway().call("POST", "/v1/auth/signin", data=body, headers={"content-type": "application/json"})
    assert code(r) == (400, "bad_json")
    assert where in r.json()["error"]


def test_wrong_content_type(gateway):
    r = gateway().call("POST", "/v1/auth/signin", data=b"{}", headers={"content-type": "text/plain"})
    assert code(r) == (415, "unsupported_media_type")


def test_unknown_account_and_wrong_password_look_the_same(gateway):
    gw = gateway(config={"auth.argon2.iterations": 8})
    signup(gw, "ann@example.org")
    spent = {"ann@example.org": [], "nobody@example.org": []}
    bodies = set()
    clock = processor_time(gw.replicas[0].process.pid)
    for _ in range(8):
        for email, times in spent.items():
            start = clock()
            r = post(gw, "/v1/auth/signin", {"email": email, "password": "wrong"},
                     headers={"x-correlation-id": "same"})
            times.append(clock() - start)
            assert r.status_code == 401
            bodies.add((r.text, tuple(sorted(h for h in r.headers if h != "Date"))))
    assert len(bodies) == 1
    known, unknown = (statistics.median(t) for t in spent.values())
    assert 0.7 < known / unknown < 1.4


def test_refresh_rotates_and_a_replay_ends_the_session(gateway):
    gw = gateway()
    first, other = gw.signin(), gw.signin()
    r = post(gw, "/v1/auth/refresh", {"refresh_token": first["refresh_token"]})
    assert r.status_code == 200 and r.headers["cache-control"] == "no-store"
    second = r.json()
    assert second["refresh_token"] != first["refresh_token"] and second["session_id"] == first["session_id"]
    assert gw.call("GET", "/v1/me", token=second["access_token"]).status_code == 200
    assert code(post(gw, "/v1/auth/refresh", {"refresh_token": first["refresh_token"]})) == \
        (401, "refresh_token_reused")
    assert code(post(gw, "/v1/auth/refresh", {"refresh_token": second["refresh_token"]})) == \
        (401, "refresh_token_invalid")
    assert gw.call("GET", "/v1/me", token=second["access_token"]).status_code == 401
    assert gw.call("GET", "/v1/me", token=other["access_token"]).status_code == 200
    assert post(gw, "/v1/auth/refresh", {"refresh_token": other["refresh_token"]}).status_code == 200


def test_grace_gives_the_same_successor(gateway):
    gw = gateway(config={"auth.refresh_grace": "60s"})
    t = gw.signin()
    answers = [post(gw, "/v1/auth/refresh", {"refresh_token": t["refresh_token"]}) for _ in range(3)]
    assert [a.status_code for a in answers] == [200] * 3
    assert len({a.json()["refresh_token"] for a in answers}) == 1


@pytest.mark.parametrize("token", ["", "grt_", "grt_" + "A" * 54, "x" * 500, "grt_" + "é" * 10])
def test_forged_refresh_tokens(gateway, token):
    r = post(gateway(), "/v1/auth/refresh", {"refresh_token": token})
    assert r.status_code in (400, 401)
    assert r.json()["code"] in ("refresh_token_invalid", "invalid_field")


@pytest.mark.parametrize("store, replicas", [("sqlite", 1), ("rqlite", 2)])
def test_of_many_refreshes_of_one_token_one_succeeds(gateway, store, replicas):
    gw = gateway(store=store, replicas=replicas)
    t = gw.signin()

    def refresh(i):
        return post(gw, "/v1/auth/refresh", {"refresh_token": t["refresh_token"]}, replica=i % replicas)
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(refresh, range(32)))
    assert sum(a.status_code == 200 for a in answers) == 1
    assert {a.status_code for a in answers} == {200, 401}


def test_a_refresh_tells_the_address_of_now(gateway):
    gw = gateway()
    ann, root = signup(gw, "ann@example.org"), gw.signin()["access_token"]
    t = gw.signin("ann@example.org", PASSWORD)
    gw.admin("PATCH", f"/admin/users/{ann['id']}", root, {"email": "ann@example.net"})
    r = post(gw, "/v1/auth/refresh", {"refresh_token": t["refresh_token"]})
    assert r.json()["user"] == {"id": ann["id"], "email": "ann@example.net"}


def test_signout_holds_when_the_call_returns(gateway):
    gw = gateway()
    t = gw.signin()
    assert post(gw, "/v1/auth/signout", {}, token=t["access_token"]).status_code == 204
    assert gw.call("GET", "/v1/me", token=t["access_token"]).status_code == 401
    assert code(post(gw, "/v1/auth/refresh", {"refresh_token": t["refresh_token"]})) == \
        (401, "refresh_token_invalid")


def test_signout_everywhere(gateway):
    gw = gateway()
    mine = [gw.signin() for _ in range(3)]
    assert post(gw, "/v1/auth/signout", {"everywhere": True}, token=mine[0]["access_token"]).status_code == 204
    assert [gw.call("GET", "/v1/me", token=t["access_token"]).status_code for t in mine] == [401] * 3


def test_own_sessions(gateway):
    gw = gateway()
    a, b = gw.signin(), gw.signin()
    items = gw.call("GET", "/v1/auth/sessions?page_size=1", token=a["access_token"]).json()
    assert len(items["items"]) == 1 and items["next_page_token"]
    more = gw.call("GET", f"/v1/auth/sessions?page_token={items['next_page_token']}", token=a["access_token"]).json()
    both = items["items"] + more["items"]
    assert {s["id"]: s["current"] for s in both} == {a["session_id"]: True, b["session_id"]: False}
    assert more["next_page_token"] is None
    assert gw.call("DELETE", f"/v1/auth/sessions/{b['session_id']}", token=a["access_token"]).status_code == 204
    assert gw.call("GET", "/v1/me", token=b["access_token"]).status_code == 401
    assert code(gw.call("DELETE", f"/v1/auth/sessions/{b['session_id']}", token=a["access_token"])) == \
        (404, "not_found")


def test_nobody_ends_the_session_of_another(gateway):
    gw = gateway()
    signup(gw, "ann@example.org")
    ann, root = gw.signin("ann@example.org", PASSWORD), gw.signin()
    r = gw.call("DELETE", f"/v1/auth/sessions/{root['session_id']}", token=ann["access_token"])
    assert code(r) == (404, "not_found")
    assert gw.call("GET", "/v1/me", token=root["access_token"]).status_code == 200


def test_changing_the_password_ends_the_other_sessions(gateway):
    gw = gateway()
    signup(gw, "ann@example.org")
    here, there = gw.signin("ann@example.org", PASSWORD), gw.signin("ann@example.org", PASSWORD)
    new = "nine yellow herons whisper"

    def change(current, wanted):
        return post(gw, "/v1/auth/password", {"current_password": current, "new_password": wanted},
                    token=here["access_token"])
    assert code(change("wrong", new)) == (401, "invalid_credentials")
    assert code(change(PASSWORD, "ann@example.org")) == (400, "weak_password")
    assert change(PASSWORD, new).status_code == 204
    assert gw.call("GET", "/v1/me", token=here["access_token"]).status_code == 200
    assert gw.call("GET", "/v1/me", token=there["access_token"]).status_code == 401
    gw.signin("ann@example.org", new)
    assert post(gw, "/v1/auth/signin", {"email": "ann@example.org", "password": PASSWORD}).status_code == 401


def test_sessions_end_at_their_limits(gateway):
    gw = gateway(config={"auth.refresh_ttl": "1s", "auth.session_max_age": "2s"})
    t = gw.signin()
    assert t["expires_in"] <= 1 and t["refresh_expires_in"] <= 1
    deadline = time.monotonic() + 10
    while True:  # kept busy, it still ends
        r = post(gw, "/v1/auth/refresh", {"refresh_token": t["refresh_token"]})
        if r.status_code != 200:
            break
        t = r.json()
        assert time.monotonic() < deadline
    assert code(r) == (401, "refresh_token_invalid")
    assert gw.call("GET", "/v1/me", token=t["access_token"]).status_code == 401


def test_an_unused_session_ends_at_its_idle_limit(gateway):
    gw = gateway(config={"auth.refresh_ttl": "1s"})
    t = gw.signin()
    assert t["expires_in"] <= 1  # an access token is no way past it
    until(lambda: gw.call("GET", "/v1/me", token=t["access_token"]).status_code == 401)
    root = until(lambda: code(post(gw, "/v1/auth/refresh", {"refresh_token": t["refresh_token"]})) ==
                 (401, "refresh_token_invalid") and gw.signin())
    listed = gw.call("GET", "/v1/auth/sessions", token=root["access_token"]).json()["items"]
    assert [s["id"] for s in listed] == [root["session_id"]]


def test_can(gateway):
    gw = gateway()
    t = gw.signin()["access_token"]
    r = gw.call("GET", "/v1/me/can?right=iam.write&resource=x", token=t)
    assert r.json()["allowed"] is True and r.json()["right"] == "iam.write" and r.json()["resource"] == "x"
    assert code(gw.call("GET", "/v1/me/can?right=nonsense", token=t)) == (400, "invalid_parameter")
    assert code(gw.call("GET", "/v1/me/can?rihgt=x", token=t)) == (400, "unknown_parameter")
    signup(gw, "ann@example.org")
    ann = gw.signin("ann@example.org", PASSWORD)["access_token"]
    assert gw.call("GET", "/v1/me/can?right=iam.write", token=ann).json()["allowed"] is False


def test_capabilities(gateway):
    gw = gateway()
    root = gw.signin()["access_token"]
    assert "gateway.routing.write" in gw.call("GET", "/v1/me", token=root).json()["capabilities"]
    ann = signup(gw, "ann@example.org")["id"]
    for t in ("acme", "other"):
        gw.admin("POST", "/admin/tenants", root, {"id": t})
    gw.admin("POST", "/admin/assignments", root, {"principal": ann, "tenant": "acme", "role": "tenant-member"})
    t = gw.signin("ann@example.org", PASSWORD)["access_token"]
    me = gw.call("GET", "/v1/me", token=t).json()
    assert me["tenants"] == [{"id": "acme", "roles": ["tenant-member"]}]
    assert sorted(me["capabilities"]) == ["gateway.command.submit", "gateway.query.execute"]
    assert gw.call("GET", "/v1/me", token=t, tenant="other").json()["capabilities"] == []


def test_a_sign_in_storm_leaves_the_rest_alone(gateway):
    """Past what the hashing threads can take, sign-ins are refused quickly, and nothing else waits."""
    gw = gateway(config={"auth.hash_threads": 1, "control.threads": 8, "auth.argon2.iterations": 20})
    token = gw.signin()["access_token"]

    def signin(_):
        return post(gw, "/v1/auth/signin", {"email": "root@example.test", "password": "wrong"})

    def hashing():
        text = gw.call("GET", "/metrics", listener="admin").text
        return int(re.search(r"^gateway_password_hash_queue (\d+)$", text, re.M).group(1))
    with concurrent.futures.ThreadPoolExecutor(48) as pool:
        storm = [pool.submit(signin, i) for i in range(48)]
        until(lambda: hashing() > 3, step=0)
        assert gw.call("GET", "/v1/auth/sessions", token=token).status_code == 200
        assert hashing() > 0  # it did not wait for the hashes before it
        answers = [s.result() for s in storm]
    refused = [r for r in answers if r.status_code == 503]
    assert {r.status_code for r in answers} == {401, 503} and len(refused) > 20
    assert all(r.json()["code"] == "overloaded" and r.headers["retry-after"] for r in refused)


def storm_from_sockets(gw, clients):
    """Sockets on which a sign-in has been sent."""
    host, port = gw.replicas[0].address["http"].rsplit(":", 1)
    body = json.dumps({"email": "nobody@example.test", "password": "wrong"})
    request = (f"POST /v1/auth/signin HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\n"
               f"content-length: {len(body)}\r\n\r\n{body}").encode()
    sockets = []
    for _ in range(clients):
        s = socket.create_connection((host, int(port)), timeout=60)
        s.sendall(request)
        sockets.append(s)
    return sockets, request


def test_refused_sign_ins_are_held_for_a_moment(gateway):
    """Whoever asks again at once is slowed down by its own refusals; whoever goes away leaves nothing."""
    gw = gateway(config={"auth.hash_threads": 1, "auth.hash_queue": 1, "auth.argon2.iterations": 64})
    busy, request = storm_from_sockets(gw, 12)
    for s in busy[6:]:
        s.close()
    start = time.monotonic()
    asker, = storm_from_sockets(gw, 1)[0]
    took = []
    while len(took) < 4:
        answer = asker.recv(65536)
        if answer.startswith(b"HTTP/1.1 503 "):
            assert b"\r\nretry-after: " in answer
            took.append(time.monotonic() - start)
        else:  # one of those who were before has had its hash, or has left
            assert answer.startswith(b"HTTP/1.1 401 ")
            busy += storm_from_sockets(gw, 6)[0]
        start = time.monotonic()
        asker.sendall(request)
    assert min(took) >= 0.05, took
    for s in [asker, *busy]:
        s.close()
    assert gw.call("GET", "/health").status_code == 200


def test_what_is_refused_on_the_way_is_held_too(gateway):
    """Not only what is refused at the door: a new password also costs a hash, and needs a caller to be known."""
    gw = gateway(config={"auth.hash_threads": 1, "auth.hash_queue": 1, "auth.argon2.iterations": 64,
                         "control.threads": 8})
    token = gw.signin()["access_token"]
    busy = []
    for _ in range(20):  # it may still get into the queue before those that are to fill it
        busy += storm_from_sockets(gw, 6)[0]
        r = post(gw, "/v1/auth/password", {"current_password": PASSWORD, "new_password": PASSWORD}, token)
        if r.status_code == 503:
            break
    assert (r.status_code, r.json()["code"]) == (503, "overloaded") and r.elapsed.total_seconds() >= 0.05
    for s in busy:
        s.close()


def test_without_credentials(gateway):
    gw = gateway()
    for method, path in [("GET", "/v1/me"), ("POST", "/v1/auth/signout"), ("GET", "/v1/auth/sessions")]:
        assert code(gw.call(method, path)) == (401, "unauthenticated")
