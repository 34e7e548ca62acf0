"""POST /v1/auth/token: the client credentials grant (RFC 6749, 4.4) with its errors (5.2), and that a
token lives no longer than the credential it was given for."""
import base64
import time
import uuid

import pytest

from harness.door import Door, assert_refused, before_its_end, parts
from harness.wait import until

GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
def door(gateway):
    return Door(gateway())


def token(door, auth=None, replica=0, **form):
    return door.gw.call("POST", "/v1/auth/token", auth=auth, data={**GRANT, **form}, replica=replica)


def refused(r, status, error):
    assert r.status_code == status, r.text
    body = r.json()
    assert body["error"] == error and body["error_description"] and '"' not in body["error_description"]
    assert body["code"] and body["request_id"] == r.headers["x-correlation-id"]  # the one envelope beside it
    assert r.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in r.headers) == (status == 401)
    if status == 401:
        assert r.headers["www-authenticate"].startswith("Basic")
    return body["error_description"]


def test_a_token_by_basic_and_by_body(door):
    sa, c = door.service_account(("*", "platform-admin"), kind="secret")
    for r in (token(door, (sa, c["secret"])), token(door, client_id=sa, client_secret=c["secret"]),
              token(door, (sa, c["secret"]), client_id=sa), token(door, (sa, c["secret"]), unknown="ignored", scope="")):
        assert r.status_code == 200, r.text
        assert r.headers["cache-control"] == "no-store" and r.headers["pragma"] == "no-cache"
        body = r.json()
        assert set(body) == {"access_token", "token_type", "expires_in"}  # no refresh token: RFC 6749, 4.4.3
        assert body["token_type"] == "Bearer" and body["expires_in"] == 300
        head, claims, _ = parts(body["access_token"])
        assert head["typ"] == "at+jwt" and claims["sub"] == sa and claims["amr"] == ["secret"]
        me = door.me(f"Bearer {body['access_token']}").json()
        assert me["id"] == sa and me["kind"] == "service_account" and me["auth"]["method"] == "access_token"
        assert "session_id" not in me["auth"]
    # and it may what the account may
    assert door.gw.call("GET", "/admin/tenants", token=body["access_token"], listener="admin").status_code == 200


def test_errors_are_those_of_rfc_6749(door):
    sa, c = door.service_account(kind="secret")
    _, key = door.service_account(kind="api_key")
    good = (sa, c["secret"])
    post = lambda data, **kw: door.gw.call("POST", "/v1/auth/token", data=data, **kw)
    form = {"content-type": "application/x-www-form-urlencoded"}
    refused(post({"scope": "x"}, auth=good), 400, "invalid_request")
    refused(post({"grant_type": ""}, auth=good), 400, "invalid_request")
    for grant in ("password", "authorization_code", "refresh_token", "CLIENT_CREDENTIALS"):
        refused(post({"grant_type": grant}, auth=good), 400, "unsupported_grant_type")
    refused(token(door, good, scope="command.submit"), 400, "invalid_scope")
    for body in ("grant_type=client_credentials&grant_type=client_credentials", "grant_type=client%zzcredentials",
                 f"grant_type=client_credentials&client_id={sa}&client_id={sa}&client_secret={c['secret']}",
                 # however the name is written
                 "grant_type=client_credentials&grant%5ftype=client_credentials",
                 f"grant_type=client_credentials&client_id={sa}&client_secre%74=x&client_secret={c['secret']}",
                 "grant_type=%ff", "grant_type=client_credentials%00", "grant_type=client_credentials&scope=%"):
        refused(post(body, auth=good, headers=form), 400, "invalid_request")
    assert post("gr%61nt_type=client_credentials&%zz=1&%=&other%5f=1", auth=good, headers=form).status_code == 200
    # two ways at once
    refused(token(door, good, client_secret=c["secret"]), 400, "invalid_request")
    refused(token(door, good, client_id=str(uuid.uuid4())), 400, "invalid_request")
    # who it is not, always in the same words
    said = {refused(r, 401, "invalid_client") for r in (
        token(door), token(door, client_id=sa), token(door, client_secret=c["secret"]), token(door, (sa, "wrong")),
        token(door, (sa, c["secret"] + "A")), token(door, (sa, c["secret"][:-1])), token(door, (sa, "")),
        token(door, (str(uuid.uuid4()), c["secret"])), token(door, ("robot", c["secret"])),
        token(door, (sa, key["secret"])), token(door, client_id=sa, client_secret=key["secret"]),
        token(door, ("root@example.test", "correct horse battery staple")))}
    for header in ("Basic", "Basic !", "Basic " + base64.b64encode(sa.encode()).decode(), "Bearer x",
                   "Basic " + base64.b64encode(b"\xff:\xff").decode(), "Basic " + base64.b64encode(b"%00:%zz").decode()):
        said.add(refused(post(GRANT, headers={"authorization": header}), 401, "invalid_client"))
    assert len(said) == 1
    # what is no form at all never gets there
    r = door.gw.call("POST", "/v1/auth/token", json=GRANT, auth=good)
    assert r.status_code == 415 and r.json()["code"] == "unsupported_media_type"
    assert door.gw.call("GET", "/v1/auth/token").headers["allow"] == "POST, OPTIONS"
    refused(post(b"", auth=good), 400, "invalid_request")


def test_no_secret_is_in_the_log(door):
    sa, c = door.service_account(kind="secret")
    token(door, (sa, c["secret"]))
    token(door, client_id=sa, client_secret=c["secret"])
    token(door, client_id=sa, client_secret="wrong-" + c["secret"])
    log = lambda: door.gw.replicas[0].process.output()
    until(lambda: log().count('"/v1/auth/token"') == 3, what="the access log")
    assert c["secret"] not in log()
    ids = [e["principal"] for e in door.gw.replicas[0].log() if e.get("path") == "/v1/auth/token" and e.get("principal")]
    assert ids == [sa, sa]


def test_tokens_go_with_their_credential(door):
    sa, old = door.service_account(kind="secret")
    path = f"/admin/service-accounts/{sa}"
    new = door.gw.admin("POST", f"{path}/credentials", door.good, {"kind": "secret"})  # rotation overlaps
    by_old, by_new = (token(door, (sa, x["secret"])).json()["access_token"] for x in (old, new))
    assert door.me(f"Bearer {by_old}").status_code == door.me(f"Bearer {by_new}").status_code == 200
    door.gw.admin("DELETE", f"{path}/credentials/{old['id']}", door.good)
    refused(token(door, (sa, old["secret"])), 401, "invalid_client")
    assert_refused(door.me(f"Bearer {by_old}"))
    assert door.me(f"Bearer {by_new}").status_code == 200
    door.gw.admin("PATCH", path, door.good, {"disabled": True})
    refused(token(door, (sa, new["secret"])), 401, "invalid_client")
    assert_refused(door.me(f"Bearer {by_new}"))
    door.gw.admin("PATCH", path, door.good, {"disabled": False})
    assert door.me(f"Bearer {by_new}").status_code == 200
    door.gw.admin("DELETE", path, door.good)
    refused(token(door, (sa, new["secret"])), 401, "invalid_client")
    assert_refused(door.me(f"Bearer {by_new}"))


def test_a_token_ends_with_its_credential(door):
    def use(stamp):
        sa, c = door.service_account(kind="secret", expires_at=stamp)
        r = token(door, (sa, c["secret"]))
        assert r.status_code == 200, r.text
        return sa, c, r.json()
    began = time.time()
    (sa, c, t), end = before_its_end(use)
    assert t["expires_in"] <= end - began + 1 and parts(t["access_token"])[1]["exp"] <= end
    until(lambda: time.time() > end, what="the credential's end")
    assert_refused(door.me(f"Bearer {t['access_token']}"))
    refused(token(door, (sa, c["secret"])), 401, "invalid_client")


def test_credentials_side_by_side(door):
    """Of every kind, several of one, each with an end and a last use of its own; up to twenty."""
    gw, root = door.gw, door.good
    sa = gw.admin("POST", "/admin/service-accounts", root, {"name": "many"})["id"]
    path = f"/admin/service-accounts/{sa}/credentials"
    bodies = [{"kind": "secret"}, {"kind": "secret", "expires_at": "2099-01-01T00:00:00Z"}, {"kind": "api_key"},
              {"kind": "api_key", "expires_at": "2098-01-01T00:00:00+02:00"}, {"kind": "certificate", "subject": "CN=many"},
              {"kind": "jwt", "issuer": "https://issuer.test", "subject": "many"}]
    made = [gw.admin("POST", path, root, body) for body in bodies]
    for c in made:
        one = gw.admin("GET", f"{path}/{c['id']}", root)
        assert "secret" not in one and {k: v for k, v in c.items() if k != "secret"} == one and one["last_used_at"] is None
    assert [c["expires_at"] for c in made[1:4]] == ["2099-01-01T00:00:00.000Z", None, "2097-12-31T22:00:00.000Z"]
    assert [c["id"] for c in gw.admin("GET", path, root)["items"]] == [c["id"] for c in made]
    for c in made[:4]:
        used = token(door, (sa, c["secret"])) if c["kind"] == "secret" else door.me(f"Bearer {c['secret']}")
        assert used.status_code == 200
    until(lambda: [bool(c["last_used_at"]) for c in gw.admin("GET", path, root)["items"]] == [True] * 4 + [False] * 2,
          what="the last uses")
    for _ in range(20 - len(made)):
        gw.admin("POST", path, root, {"kind": "api_key"})
    r = gw.call("POST", path, token=root, listener="admin", json={"kind": "api_key"})
    assert r.status_code == 409 and "20" in r.json()["error"]
    gw.admin("DELETE", f"{path}/{made[2]['id']}", root)
    assert_refused(door.me(f"Bearer {made[2]['secret']}"))
    assert door.me(f"Bearer {made[3]['secret']}").status_code == 200
    for missing in (made[2]["id"], str(uuid.uuid4()), "x"):
        assert gw.call("GET", f"{path}/{missing}", token=root, listener="admin").status_code == 404
    r = gw.call("POST", path, token=root, listener="admin", json={"kind": "secret", "expires_at": "2001-01-01T00:00:00Z"})
    assert r.status_code == 400 and r.json()["details"]["field"] == "expires_at"
