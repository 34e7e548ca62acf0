"""The main job from outside, on real parts: sign up, be given a role, send a command, ask a query, be
put out again."""
import sqlite3
import uuid

import pytest

from harness.gateway import ADMIN_EMAIL, ADMIN_PASSWORD, wait_for
from harness.wait import until

PASSWORD = "plenty of salt in the sea"


def signup(gw, email, **kw):
    r = gw.call("POST", "/v1/auth/signup", json={"email": email, "password": PASSWORD, "display_name": "Al"}, **kw)
    assert r.status_code == 201, r.text
    return r.json()["user"]


@pytest.fixture
def house(gateway, node):
    """A gateway with a tenant, its routing to one node, and a member."""
    gw = gateway()
    root = gw.signin()["access_token"]
    gw.admin("POST", "/admin/tenants", root, {"id": "acme", "name": "Acme"})
    gw.route(root, aggregate_placement={"acme": "a1"}, aggregate_shards={"a1": [f"grpc://{node.address['grpc']}"]},
             projection_placement={"acme": "p1"}, projection_shards={"p1": [f"http://{node.address['http']}"]})
    user = signup(gw, "Alice@Example.test")
    assignment = gw.admin("POST", "/admin/assignments", root,
                          {"principal": user["id"], "tenant": "acme", "role": "tenant-member"})
    gw.root, gw.user, gw.assignment = root, user, assignment
    return gw


def command(gw, token, **kw):
    return gw.call("POST", "/v1/commands/order/o-1", token=token, tenant="acme",
                   json={"command_type": "place", "payload": {"sku": "tea"}, **kw.pop("body", {})}, **kw)


def query(gw, token, view="events", body=None, **kw):
    return gw.call("POST", f"/v1/query/{view}", token=token, tenant="acme", json=body or {}, **kw)


def test_command_then_query(house):
    token = house.signin("alice@example.test", PASSWORD)["access_token"]
    first = command(house, token)
    assert first.status_code == 200, first.text
    assert first.json()["version"] == 1 and first.json()["events"][0]["payload"] == {"sku": "tea"}
    second = command(house, token, body={"expected_version": 1})
    assert second.json()["version"] == 2
    stale = command(house, token, body={"expected_version": 1})
    assert stale.status_code == 409 and stale.json()["code"] == "version_conflict"
    assert query(house, token, body={"aggregate_type": "order"}).json()["count"] == 2


def test_the_same_command_twice_is_one_command(house):
    token = house.signin("alice@example.test", PASSWORD)["access_token"]
    body = {"command_id": str(uuid.uuid4())}
    first, again = command(house, token, body=body), command(house, token, body=body)
    assert first.json() == again.json()
    assert query(house, token, body={"aggregate_type": "order"}).json()["count"] == 1


def test_the_same_api_on_the_http2_listener(house):
    token = house.signin("alice@example.test", PASSWORD)["access_token"]
    out = house.directory / "h2.json"
    import subprocess
    p = subprocess.run(["curl", "-s", "--http2-prior-knowledge", "-o", out, "-w", "%{http_code} %{http_version}",
                        f"http://{house.replicas[0].grpc}/v1/query/events", "-H", f"authorization: Bearer {token}",
                        "-H", "x-tenant-id: acme", "-H", "content-type: application/json", "-d", "{}"],
                       capture_output=True, text=True, timeout=60)
    assert p.stdout == "200 2", (p.stdout, p.stderr, out.read_text() if out.exists() else "")


def test_identity_correlation_and_trace_reach_the_node(house):
    token = house.signin("alice@example.test", PASSWORD)["access_token"]
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    r = query(house, token, "echo", headers={"x-correlation-id": "c-1", "traceparent": trace,
                                             "x-auth-user-id": "forged", "x-forwarded-for": "6.6.6.6"})
    seen = dict(r.json()["headers"])
    assert seen["x-auth-user-id"] == house.user["id"] and seen["x-auth-tenant-id"] == "acme"
    assert seen["x-auth-principal-type"] == "user" and seen["x-auth-authority-mode"] == "direct"
    assert "authorization" not in seen and "6.6.6.6" not in str(seen)
    assert seen["x-correlation-id"] == "c-1" == r.headers["x-correlation-id"]
    assert r.headers["traceparent"] == trace
    version, trace_id, parent, flags = seen["traceparent"].split("-")
    assert trace_id == trace.split("-")[1] and parent != trace.split("-")[2]


def test_tenant_rules(house):
    token = house.signin("alice@example.test", PASSWORD)["access_token"]
    for headers, status, code in [
            ({}, 400, "tenant_required"),
            ({"x-tenant-id": "Acme"}, 400, "tenant_invalid"),
            ({"x-tenant-id": "-a"}, 400, "tenant_invalid"),
            ({"x-tenant-id": "a" * 64}, 400, "tenant_invalid"),
            ({"x-tenant-id": "other"}, 403, "tenant_forbidden")]:
        r = house.call("POST", "/v1/query/events", token=token, json={}, headers=headers)
        assert (r.status_code, r.json()["code"]) == (status, code), headers
    # the platform admin may act in a tenant that nobody has placed: that is another answer
    r = house.call("POST", "/v1/query/events", token=house.root, tenant="nowhere", json={})
    assert (r.status_code, r.json()["code"]) == (503, "tenant_unplaced") and r.headers["retry-after"]


def test_what_is_taken_away_is_gone_when_the_call_returns(house):
    gw = house
    alice = gw.signin("alice@example.test", PASSWORD)
    token = alice["access_token"]
    for _ in range(20):
        assert query(gw, token).status_code == 200
        gw.admin("DELETE", f"/admin/assignments/{gw.assignment['id']}", gw.root)
        r = query(gw, token)
        assert (r.status_code, r.json()["code"]) == (403, "tenant_forbidden")
        gw.assignment = gw.admin("POST", "/admin/assignments", gw.root,
                                 {"principal": gw.user["id"], "tenant": "acme", "role": "tenant-member"})
    assert gw.call("POST", "/v1/auth/signout", token=token, json={}).status_code == 204
    r = query(gw, token)
    assert (r.status_code, r.json()["code"]) == (401, "unauthenticated")
    r = gw.call("POST", "/v1/auth/refresh", json={"refresh_token": alice["refresh_token"]})
    assert (r.status_code, r.json()["code"]) == (401, "refresh_token_invalid")


def test_a_disabled_user_is_out(house):
    token = house.signin("alice@example.test", PASSWORD)["access_token"]
    assert query(house, token).status_code == 200
    house.admin("PATCH", f"/admin/users/{house.user['id']}", house.root, {"disabled": True})
    assert query(house, token).status_code == 401
    r = house.call("POST", "/v1/auth/signin", json={"email": "alice@example.test", "password": PASSWORD})
    assert (r.status_code, r.json()["code"]) == (401, "invalid_credentials")


def test_refresh_rotates_and_a_replay_ends_the_session(house):
    one = house.signin("alice@example.test", PASSWORD)
    other = house.signin("alice@example.test", PASSWORD)
    refresh = lambda t: house.call("POST", "/v1/auth/refresh", json={"refresh_token": t})
    two = refresh(one["refresh_token"])
    assert two.status_code == 200 and two.headers["cache-control"] == "no-store"
    two = two.json()
    assert two["refresh_token"] != one["refresh_token"] and two["session_id"] == one["session_id"]
    assert query(house, two["access_token"]).status_code == 200
    replay = refresh(one["refresh_token"])
    assert (replay.status_code, replay.json()["code"]) == (401, "refresh_token_reused")
    assert refresh(two["refresh_token"]).json()["code"] == "refresh_token_invalid"
    assert query(house, two["access_token"]).status_code == 401
    assert query(house, other["access_token"]).status_code == 200  # that session and only that


def test_routing_changes_without_a_restart(house, nodes):
    token = house.signin("alice@example.test", PASSWORD)["access_token"]
    assert query(house, token, "echo").json()["node"] == "node"
    other = nodes("other")[0]
    house.route(house.root, projection_placement={"acme": "p2"},
                projection_shards={"p2": [f"http://{other.address['http']}"]})
    assert query(house, token, "echo").json()["node"] == "other"


def test_a_drain_finishes_what_is_in_flight(house):
    token = house.signin("alice@example.test", PASSWORD)["access_token"]
    import concurrent.futures
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        slow = [pool.submit(query, house, token, "fault", {"mode": "delay", "ms": 1500}) for _ in range(4)]
        metric = 'gateway_upstream_connections{kind="projection",shard="p1"}'
        wait_for(house, lambda: any(line.startswith(metric) and float(line.split()[-1]) >= 4 for line in
                                    house.call("GET", "/metrics", listener="admin").text.splitlines()),
                 what="four calls under way")
        status = house.replicas[0].stop()
        assert status == 0
        assert [f.result().status_code for f in slow] == [200] * 4


def test_probes_and_metrics(house):
    for listener in ("http", "admin"):
        for path in ("/health", "/ready"):
            r = house.call("GET", path, listener=listener)
            assert r.status_code == 200 and r.json()["status"] == "ok"
    text = house.call("GET", "/metrics", listener="admin").text
    assert 'gateway_requests_total{route="health",method="GET",code="200"}' in text
    assert "acme" not in text and house.user["id"] not in text
    assert house.call("GET", "/metrics").status_code == 404  # not on the public listener


def test_a_lost_master_key_is_not_replaced(gateway):
    """Another key would open nothing of the store, and stand where the right one is to be restored."""
    gw = gateway()
    replica, key = gw.replicas[0], gw.directory / "master.key"
    assert replica.stop() == 0
    kept = key.read_text()
    key.unlink()
    replica.process.start()
    until(lambda: not replica.process.alive(), what="gatewayd to give up")
    assert "master.key does not exist" in replica.process.output()
    assert not key.exists()
    gw.write("master.key", kept)
    replica.start()


def test_what_the_store_says_is_for_the_log(gateway):
    """The name of the database is no business of somebody who signs in."""
    gw = gateway(config={"store.timeout": "1s"})
    body = {"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
    other = sqlite3.connect(gw.directory / "gateway.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # the gateway cannot write now
    r = gw.call("POST", "/v1/auth/signin", json=body)
    problem = gw.call("POST", "/v1/auth/signin", json=body, headers={"accept": "application/problem+json"})
    other.execute("ROLLBACK")
    other.close()
    assert (r.status_code, r.json()["code"]) == (503, "store_unavailable")
    assert r.headers["retry-after"]
    assert "gateway.db" not in r.text and "gateway.db" not in problem.text
    told = [e for e in gw.replicas[0].log() if e.get("correlation_id") == r.headers["x-correlation-id"] and "error" in e]
    assert "gateway.db" in told[0]["error"]
    assert gw.call("POST", "/v1/auth/signin", json=body).status_code == 200
