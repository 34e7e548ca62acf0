"""Signing keys: published before they sign, rotated by the clock and by hand, revoked at once; on one
gateway and on two replicas."""
import time

import pytest

from harness.door import Door, assert_refused, parts
from harness.gateway import wait_for
from harness.wait import SPREAD


def keys(gw, token, replica=0):
    return gw.admin("GET", "/admin/keys", token, replica=replica)["items"]


def by_state(gw, token, state, replica=0):
    return [k["kid"] for k in keys(gw, token, replica) if k["state"] == state]


def published(gw, replica=0):
    return {k["kid"] for k in gw.call("GET", "/.well-known/jwks.json", replica=replica).json()["keys"]}


def kid_of(token):
    return parts(token)[0]["kid"]


def me(gw, token, replica=0):
    return gw.call("GET", "/v1/me", token=token, replica=replica).status_code


@pytest.fixture
def door(gateway):
    return Door(gateway())


def test_the_next_key_is_published_before_it_signs(door):
    gw = door.gw
    [active], [following] = by_state(gw, door.good, "active"), by_state(gw, door.good, "next")
    assert kid_of(door.good) == active and published(gw) == {active, following}
    assert gw.admin("POST", "/admin/keys/rotate", door.good) == {"kid": following, "state": "active"}
    new = gw.signin()["access_token"]
    assert kid_of(new) == following
    [following] = by_state(gw, new, "next")
    assert published(gw) == {active, kid_of(new), following}  # the old one until its tokens have run out
    [old] = [k for k in keys(gw, new) if k["kid"] == active]
    assert old["state"] == "retired" and old["not_after"]
    assert me(gw, door.good) == 200


def test_keys_rotate_by_the_clock(gateway):
    """Each key signs for two seconds; a token of one is good until it expires, and no longer than that the key
    stays published."""
    door = Door(gateway(config={"auth.key_rotation": "2s", "auth.key_lead": "1s", "auth.access_ttl": "5s"}))
    gw, kid = door.gw, kid_of(door.good)
    following = by_state(gw, door.good, "next")
    wait_for(gw, lambda: by_state(gw, gw.signin()["access_token"], "next") != following, what="the rotation")
    assert kid_of(gw.signin()["access_token"]) != kid
    seen = me(gw, door.good), kid in published(gw)
    if time.time() < parts(door.good)[1]["exp"]:
        assert seen == (200, True)
    wait_for(gw, lambda: me(gw, door.good) == 401, what="the old token's end")
    records = gw.admin("GET", "/admin/audit?action=keys.rotate", gw.signin()["access_token"])["items"]
    assert records and all(r["actor"] is None and r["method"] == "schedule" and r["outcome"] == "ok" for r in records)
    assert {r["target"] for r in records} >= set(following)


def test_rotation_by_hand_only(gateway):
    door = Door(gateway(config={"auth.key_rotation": "0s"}))
    kid = kid_of(door.good)
    replica = door.gw.replicas[0]
    replica.reload(auth__key_rotation="1s", auth__key_lead="0s")
    # the date is looked up again within a minute, or at the next start
    assert replica.stop() == 0
    replica.start()
    wait_for(door.gw, lambda: kid_of(door.gw.signin()["access_token"]) != kid, what="the rotation")


@pytest.mark.parametrize("what", ["active", "next", "retired"])
def test_a_revoked_key_is_worth_nothing(door, what):
    gw = door.gw
    old = door.good
    gw.admin("POST", "/admin/keys/rotate", old)
    new = gw.signin()["access_token"]
    [kid] = by_state(gw, new, what)
    r = gw.admin("POST", f"/admin/keys/{kid}/revoke", new)
    assert r["kid"] == kid and r["state"] == "revoked" and r["active"] != kid
    # at once: the request that came after the answer
    assert me(gw, old) == (401 if what == "retired" else 200)
    assert me(gw, new) == (401 if what == "active" else 200)
    again = gw.signin()["access_token"]
    assert kid_of(again) == r["active"] and me(gw, again) == 200
    assert kid not in published(gw) and len(by_state(gw, again, "next")) == 1
    r = gw.call("POST", f"/admin/keys/{kid}/revoke", token=again, listener="admin")
    assert r.status_code == 409 and r.json()["code"] == "conflict"
    assert gw.call("POST", "/admin/keys/nobody/revoke", token=again, listener="admin").status_code == 404
    [record] = gw.admin("GET", "/admin/audit?action=keys.revoke", again)["items"][-1:]
    assert record["target"] == kid and record["outcome"] == "ok"


def test_only_keys_write_revokes(door):
    [active] = by_state(door.gw, door.good, "active")
    _, c = door.service_account(("*", "tenant-admin"))
    r = door.gw.call("POST", f"/admin/keys/{active}/revoke", token=c["secret"], listener="admin")
    assert r.status_code == 403 and r.json()["details"]["right"] == "keys.write"
    assert me(door.gw, door.good) == 200


def test_gwctl_revokes_and_goes_on(gateway):
    gw = gateway()
    gw.login()
    [active] = [k["kid"] for k in gw.ctl("key", "list").json()["items"] if k["state"] == "active"]
    assert gw.ctl("key", "revoke", active, check=False).returncode == 2  # not without --yes
    out = gw.ctl("key", "revoke", active, "--yes").json()
    assert out["state"] == "revoked" and out["active"] != active
    # its own access token is dead; it gets another with the refresh token
    states = {k["kid"]: k["state"] for k in gw.ctl("key", "list").json()["items"]}
    assert states[active] == "revoked" and states[out["active"]] == "active"


# ---- two replicas ------------------------------------------------------------------------------

@pytest.fixture
def pair(gateway, nats):
    def start(**config):
        gw = gateway(store="rqlite", replicas=2, nats=nats, config=config)
        gw.root = gw.signin()["access_token"]
        return gw
    return start


def test_a_revoked_key_is_worth_nothing_on_either_replica(pair):
    gw = pair()
    for replica in (0, 1):
        token = gw.signin(replica=1 - replica)["access_token"]
        assert me(gw, token, 0) == me(gw, token, 1) == 200
        gw.admin("POST", f"/admin/keys/{kid_of(token)}/revoke", token, replica=replica)
        assert me(gw, token, replica) == 401
        wait_for(gw, lambda: me(gw, token, 1 - replica) == 401, SPREAD, "the other replica to refuse")
        assert published(gw, 0) == published(gw, 1)
        fresh = gw.signin(replica=1 - replica)["access_token"]
        assert kid_of(fresh) != kid_of(token) and me(gw, fresh, 0) == me(gw, fresh, 1) == 200


def test_one_of_two_replicas_rotates(pair):
    """However often it is due: each rotation is one, and tokens of either replica are good on both."""
    gw = pair(**{"auth.key_rotation": "1s", "auth.key_lead": "0s"})
    seen, good = set(), set()

    def turn():
        for replica in (0, 1):
            token = gw.signin(replica=replica)["access_token"]
            good.update((me(gw, token, 0), me(gw, token, 1)))
            seen.add(kid_of(token))
        return len(seen) >= 4
    wait_for(gw, turn, what="rotations")
    assert good == {200}
    token = gw.signin()["access_token"]
    assert len(by_state(gw, token, "active")) == len(by_state(gw, token, "next")) == 1
    rotations = lambda: gw.admin("GET", "/admin/audit?action=keys.rotate&page_size=500", token)["items"]
    before, retired, rows = rotations(), by_state(gw, token, "retired"), rotations()
    assert len(rows) == len({r["target"] for r in rows}), "two rotations to one key"
    # nothing was skipped: every key that was made has signed, or waits to
    assert len(before) - 1 <= len(retired) <= len(rows) + 1


def test_a_key_that_was_next_for_a_moment_only(pair):
    """Rotated twice at once, the key that signs is new to the other replica, which then looks."""
    gw = pair()
    root = gw.signin()["access_token"]
    for _ in range(3):
        for _ in range(2):
            gw.admin("POST", "/admin/keys/rotate", root, replica=0)
        token, asked = gw.signin(replica=0)["access_token"], time.monotonic()
        status = me(gw, token, replica=1)
        assert status == 200 or time.monotonic() - asked >= 1, "refused without a look, and not for want of an answer"


def test_credentials_are_refused_on_both_replicas(pair):
    gw = pair()
    door = Door(gw)
    for kind in ("api_key", "secret"):
        sa, c = door.service_account(kind=kind)

        def status(replica):
            if kind == "api_key":
                return me(gw, c["secret"], replica)
            return gw.call("POST", "/v1/auth/token", auth=(sa, c["secret"]), replica=replica,
                           data={"grant_type": "client_credentials"}).status_code
        wait_for(gw, lambda: status(1) == 200, SPREAD, "the credential on the other replica")
        assert status(0) == 200
        if kind == "secret":
            tokens = [gw.call("POST", "/v1/auth/token", auth=(sa, c["secret"]), replica=i,
                              data={"grant_type": "client_credentials"}).json()["access_token"] for i in (0, 1)]
            assert {me(gw, t, i) for t in tokens for i in (0, 1)} == {200}
        gw.admin("DELETE", f"/admin/service-accounts/{sa}/credentials/{c['id']}", door.good)
        assert status(0) == 401
        wait_for(gw, lambda: status(1) == 401, SPREAD, "the other replica to refuse")
        if kind == "secret":
            assert {me(gw, t, 0) for t in tokens} == {401}
            wait_for(gw, lambda: {me(gw, t, 1) for t in tokens} == {401}, SPREAD, "the other replica to refuse the token")


def test_a_refusal_of_a_revoked_key_says_nothing(door):
    gw = door.gw
    gw.admin("POST", f"/admin/keys/{kid_of(door.good)}/revoke", door.good)
    assert_refused(door.me(f"Bearer {door.good}"))
