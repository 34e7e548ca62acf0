"""Batches of commands and queries: order, independence, rights, limits, and what a client that leaves costs."""
import json
import threading
import time

import pytest

from harness.nodes import HttpNode
from harness.wait import until


def batch(placed, what, items, tenant="acme", token=None, **kw):
    return placed.gw.call("POST", f"/v1/{what}:batch", token or placed.token, tenant, json={"items": items}, **kw)


def results(r):
    assert r.status_code == 200, r.text
    body = r.json()
    assert list(body) == ["results"]
    return body["results"]


def command(n, **more):
    return {"aggregate_type": "order", "aggregate_id": f"o-{n}", "command_type": "place", "payload": {"n": n}, **more}


class Counting:
    """Answers a query with itself when told to, and counts how many wait at a time."""

    def __init__(self):
        self.lock, self.go = threading.Lock(), threading.Event()
        self.now = self.most = self.seen = 0

    def __call__(self, path, body):
        with self.lock:
            self.now, self.seen = self.now + 1, self.seen + 1
            self.most = max(self.most, self.now)
        self.go.wait(60)
        with self.lock:
            self.now -= 1
        return 200, body


@pytest.fixture
def counting(placed):
    counting = Counting()
    node = HttpNode(counting)
    placed.route(http=[node.http])
    yield counting
    counting.go.set()
    node.stop()


# ---- what comes back


@pytest.mark.parametrize("tenant", ["acme", "beta"])
def test_commands(placed, tenant):
    items = [command(n) for n in range(100)]
    items[3] = command(3, command_id="c-3", metadata={"k": "v"})
    items[7] = command(7, command_type=1)
    items[8] = command(8, expected_version=5)
    answers = results(batch(placed, "commands", items, tenant))
    assert len(answers) == 100
    for n, a in enumerate(answers):
        if n == 7:
            assert (a["status"], a["code"]) == (400, "invalid_field") and "command_type" in a["error"]
            assert "body" not in a
        elif n == 8 and tenant == "acme":
            assert (a["status"], a["code"]) == (409, "version_conflict")
        elif n == 8:  # an http node's own answer passes as it is
            assert (a["status"], a["body"]["code"]) == (409, "version_conflict")
        else:
            assert list(a) == ["status", "body"] and a["status"] == 200
            assert (a["body"]["aggregate_id"], a["body"]["version"]) == (f"o-{n}", 1)
            assert a["body"]["events"][0]["payload"] == {"n": n}
    assert answers[3]["body"]["command_id"] == "c-3"


@pytest.mark.parametrize("tenant", ["acme", "beta"])
def test_queries(placed, tenant):
    views = [f"view {n} é" for n in range(40)]
    answers = results(batch(placed, "query", [{"view_type": v, "query": {}} for v in views], tenant))
    assert [a["body"]["view_type"] for a in answers] == views
    assert all(a["status"] == 200 for a in answers)


def test_answers_are_embedded_as_they_are(placed):
    text = '{"big":1E+400,"n":1.50,"s":"\\u00e9\\/"}'
    r = placed.gw.call("POST", "/v1/query:batch", placed.token, "acme", headers={"content-type": "application/json"},
                       data='{ "items" : [ {"query":%s,"view_type":"echo"} , {"view_type":"echo"} ] }' % text)
    assert r.status_code == 200, r.text
    one, two = r.text.split('},{"status"')
    assert json.dumps(text) in one  # the echo's "text": byte for byte what stood there
    assert results(r)[1]["body"]["text"] == "{}"


def test_identity_and_trace_are_those_of_the_batch(placed):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    r = batch(placed, "query", [{"view_type": "echo"}] * 2, headers={
        "x-correlation-id": "b-1", "traceparent": trace, "x-request-timeout-ms": "5000", "x-auth-user-id": "forged"})
    assert r.headers["x-correlation-id"] == "b-1"
    me = placed.gw.call("GET", "/v1/me", placed.token).json()["id"]
    for a in results(r):
        h = dict(a["body"]["headers"])
        assert (h["x-correlation-id"], h["x-tenant-id"], h["x-auth-user-id"]) == ("b-1", "acme", me)
        assert h["traceparent"].split("-")[1] == trace.split("-")[1]
        assert 0 < int(h["x-request-timeout-ms"]) <= 5000


def test_an_empty_batch(placed):
    assert results(batch(placed, "commands", [])) == []
    assert results(batch(placed, "query", [])) == []


def test_the_http2_listener_has_it_too(placed, tmp_path):
    import subprocess
    out = tmp_path / "h2.json"
    p = subprocess.run(["curl", "-s", "--http2-prior-knowledge", "-o", out, "-w", "%{http_code} %{http_version}",
                        f"http://{placed.gw.replicas[0].grpc}/v1/commands:batch", "-H",
                        f"authorization: Bearer {placed.token}", "-H", "x-tenant-id: acme", "-H",
                        "content-type: application/json", "-d", json.dumps({"items": [command(1), command(2)]})],
                       capture_output=True, text=True, timeout=60)
    assert p.stdout == "200 2", p.stderr
    assert [a["status"] for a in json.loads(out.read_text())["results"]] == [200, 200]


# ---- one failure hides no other


def test_failures_stay_where_they_are(placed):
    fault = lambda **order: {"view_type": "fault", "query": order}
    answers = results(batch(placed, "query", [
        {"view_type": "orders"}, fault(mode="text"), fault(mode="close"), fault(mode="status", status=418),
        fault(mode="bad_framing", kind="both"), {"view_type": ""}, {"view_type": ".."}, {"query": {}}, 7,
        {"view_type": "a", "view_type2": "b"}, fault(mode="status", status=204), {"view_type": "orders"}]))
    shown = [(a["status"], a.get("code", "body" if "body" in a else None)) for a in answers]
    assert shown == [
        (200, "body"), (502, "bad_upstream"), (502, "upstream_unavailable"), (418, "body"), (502, "bad_upstream"),
        (400, "invalid_field"), (400, "invalid_field"), (400, "invalid_field"), (400, "invalid_field"),
        (400, "unknown_field"), (204, "body"), (200, "body")]
    assert answers[3]["body"]["code"] == "injected_fault" and answers[10]["body"] is None
    for a in answers:
        if "code" in a:
            assert set(a) == {"status", "code", "error", "details", "request_id"} and a["error"]


def test_a_node_that_is_gone_and_a_tenant_without_one(placed):
    answers = results(batch(placed, "commands", [command(1), command(2)], tenant="nowhere"))
    assert [(a["status"], a["code"]) for a in answers] == [(503, "tenant_unplaced")] * 2
    placed.a.kill()
    answers = results(batch(placed, "query", [{"view_type": "orders"}] * 20))
    told = {(a["status"], a["code"]) for a in answers}  # once the circuit opens, the node is not tried any more
    assert (502, "upstream_unavailable") in told and len(answers) == 20
    assert told <= {(502, "upstream_unavailable"), (503, "shard_unavailable")}


def test_each_item_needs_its_own_right(placed):
    gw = placed.gw
    gw.admin("POST", "/admin/roles", placed.token, {"id": "orders", "tenant": "acme", "rights": [
        {"right": "command.submit", "resource": "order*"}, {"right": "query.execute", "resource": "open-*"}]})
    account = gw.admin("POST", "/admin/service-accounts", placed.token, {"name": "robot", "tenant": "acme"})
    gw.admin("POST", "/admin/assignments", placed.token,
             {"principal": account["id"], "tenant": "acme", "role": "orders"})
    key = gw.admin("POST", f"/admin/service-accounts/{account['id']}/credentials", placed.token,
                   {"kind": "api_key"})["secret"]
    items = [command(1), command(2, aggregate_type="invoice"), command(3, aggregate_type="order-line")]
    answers = results(batch(placed, "commands", items, token=key))
    assert [(a["status"], a.get("code")) for a in answers] == [(200, None), (403, "forbidden"), (200, None)]
    assert answers[1]["details"] == {"right": "command.submit", "resource": "invoice"}
    answers = results(batch(placed, "query", [{"view_type": "secret"}, {"view_type": "open-orders"}], token=key))
    assert [a["status"] for a in answers] == [403, 200]
    r = batch(placed, "commands", items, tenant="beta", token=key)
    assert (r.status_code, r.json()["code"]) == (403, "tenant_forbidden")
    assert placed.gw.call("POST", "/v1/commands:batch", None, "acme", json={"items": []}).status_code == 401
    assert placed.gw.call("POST", "/v1/commands:batch", key, None, json={"items": []}).json()["code"] == "tenant_required"


@pytest.mark.parametrize("body,code", [
    ("", "bad_json"), ("[]", "bad_json"), ("{}", "invalid_field"), ('{"items":{}}', "invalid_field"),
    ('{"items":[],"more":1}', "unknown_field"), ('{"items":[],"items":[]}', "bad_json"),
    ('{"items":[{"view_type":"a"}', "bad_json"), ('{"items":[{"view_type":"a","query":}]}', "bad_json"),
    ('{"items":[1,]}', "bad_json"), ('{"items":[]}}', "bad_json"),
    ('{"items":[%s]}' % ",".join(['{"view_type":"orders"}'] * 101), "invalid_field"),
])
def test_bad_batches(placed, body, code):
    for what in ("commands", "query"):
        r = placed.gw.call("POST", f"/v1/{what}:batch", placed.token, "acme", data=body,
                           headers={"content-type": "application/json"})
        assert (r.status_code, r.json()["code"]) == (400, code), r.text
    r = placed.gw.call("POST", "/v1/query:batch", placed.token, "acme", data=body, headers={"content-type": "text/plain"})
    assert r.status_code == 415
    assert placed.gw.call("GET", "/v1/query:batch", placed.token, "acme").status_code == 405


def test_names_given_twice_are_refused(placed):
    r = placed.gw.call("POST", "/v1/query:batch", placed.token, "acme", headers={"content-type": "application/json"},
                       data='{"items":[{"view_type":"a","view_type":"b"},{"view_type":"a","query":1,"query":2}]}')
    assert [(a["status"], a["code"]) for a in results(r)] == [(400, "bad_json")] * 2


# ---- limits


def test_answers_have_a_limit_in_all(placed):
    large = {"view_type": "fault", "query": {"mode": "large", "bytes": 3_000_000}}
    answers = results(batch(placed, "query", [large, large, large, {"view_type": "orders"}], timeout=60))
    shown = sorted((a["status"], a.get("code", "")) for a in answers[:3])
    assert shown == [(200, ""), (200, ""), (502, "answer_too_large")]
    assert answers[3]["status"] == 200


def test_time_limits(placed):
    items = [{"view_type": "fault", "query": {"mode": "delay", "ms": 20000}}] * 40 + [{"view_type": "orders"}]
    began = time.monotonic()
    answers = results(batch(placed, "query", items, headers={"x-request-timeout-ms": "300"}))
    assert time.monotonic() - began < 9  # upstream.first_byte_timeout is ten seconds
    assert {(a["status"], a.get("code")) for a in answers[:40]} == {(504, "upstream_timeout")}


def test_so_many_at_once_and_no_more(placed, counting):
    got = []
    t = threading.Thread(target=lambda: got.append(
        results(batch(placed, "query", [{"view_type": "v", "query": n} for n in range(50)]))))
    t.start()
    until(lambda: counting.now == 16, what="16 queries to be under way")
    counting.go.set()
    t.join(60)
    assert [a["body"] for a in got[0]] == list(range(50))
    assert counting.most == 16


def test_a_client_that_leaves_ends_the_rest(placed, counting):
    body = json.dumps({"items": [{"view_type": "v", "query": n} for n in range(50)]}).encode()
    with placed.gw.replicas[0].connect() as c:
        c.send(b"POST /v1/query:batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
               b"authorization: Bearer %s\r\nx-tenant-id: acme\r\ncontent-length: %d\r\n\r\n%s"
               % (placed.token.encode(), len(body), body))
        until(lambda: counting.now == 16, what="16 queries to be under way")
    cancelled = 'gateway_upstream_requests_total{kind="projection",shard="h",outcome="cancelled"} 16'
    until(lambda: cancelled in placed.gw.call("GET", "/metrics", listener="admin").text, what="16 cancellations")
    counting.go.set()
    assert counting.seen == 16
