"""Commands, queries and node administration through a real gateway to real nodes: what the node sees, what
the caller gets, and what happens when nodes fail."""
import json
import re
import signal
import socket
import struct
import threading
import uuid

import grpc
import pytest
import requests

from harness.placed import Placed
from harness.wait import until

UUID7 = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")


def is_error(r, status, code):
    assert r.status_code == status, r.text
    body = r.json()
    assert body["code"] == code, body
    assert body["request_id"] == r.headers["x-correlation-id"]
    return body


# ---- queries


def test_what_a_node_sees(placed):
    sent = {
        "x-correlation-id": "corr-1", "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
        "tracestate": "v=1", "accept": "application/json", "accept-language": "fi",
        "if-none-match": '"e"', "cookie": "c=1", "x-auth-user-id": "me", "x-auth-scopes": "all",
        "x-forwarded-for": "1.2.3.4", "forwarded": "for=1.2.3.4", "x-custom": "1", "connection": "x-hop, keep-alive",
        "x-hop": "1", "te": "trailers", "via": "1.1 x", "proxy-authorization": "Basic eA==",
    }
    r = placed.query("echo", data='{"q": 1.0}', headers={**sent, "content-type": "application/json"})
    assert r.status_code == 200, r.text
    seen = r.json()
    assert (seen["method"], seen["target"], seen["text"]) == ("POST", "/v1/query/echo", '{"q": 1.0}')
    names = [name for name, _ in seen["headers"]]
    assert len(names) == len(set(names)) and names == [n.lower() for n in names]
    h = dict(seen["headers"])
    me = placed.gw.call("GET", "/v1/me", placed.token).json()
    assert h.pop("host") == placed.a.address["http"]
    assert 0 < int(h.pop("x-request-timeout-ms")) <= 60000
    trace = h.pop("traceparent")
    assert re.fullmatch("00-" + "a" * 32 + "-[0-9a-f]{16}-01", trace) and "b" * 16 not in trace
    assert h == {
        "content-length": "10", "content-type": "application/json", "accept": "application/json",
        "accept-language": "fi", "if-none-match": '"e"', "tracestate": "v=1",
        "x-correlation-id": "corr-1", "x-tenant-id": "acme", "x-auth-tenant-id": "acme",
        "x-auth-user-id": me["id"], "x-auth-principal-type": "user", "x-auth-actor-type": "user",
        "x-auth-actor-id": me["id"], "x-auth-authority-mode": "direct", "x-auth-scopes": "*",
    }


def test_answers_pass_through(placed):
    r = placed.query("bench")
    direct = placed.a.query("bench")
    assert (r.status_code, r.content) == (direct.status_code, direct.content)
    assert r.headers["content-type"] == direct.headers["content-type"]
    r = placed.fault(mode="status", status=418)
    assert r.status_code == 418 and r.json()["code"] == "injected_fault"


def test_pages_of_other_origins_read_every_answer(placed):
    """What a node says, what the gateway says, and what it refuses before anything else."""
    placed.gw.replicas[0].reload(cors__origins=["https://app.example"])
    sent = {"origin": "https://app.example"}
    until(lambda: "access-control-allow-origin" in placed.query("bench", headers=sent).headers, what="the origins")
    answers = [placed.query("bench", headers=sent), placed.gw.call("GET", "/v1/me", token=placed.token, headers=sent),
               placed.gw.call("GET", "/v1/me", headers=sent), placed.gw.call("GET", "/nowhere", headers=sent),
               placed.gw.call("POST", "/v1/query/bench", token=placed.token, json={}, headers=sent)]
    assert [a.status_code for a in answers] == [200, 200, 401, 404, 400]
    for a in answers:  # once: two of them, even alike, are refused by browsers
        assert a.raw.headers.getlist("access-control-allow-origin") == ["https://app.example"]
    for origin in ("https://evil.example", "null"):
        assert "access-control-allow-origin" not in placed.query("bench", headers={"origin": origin}).headers


def test_view_types_keep_their_names(placed):
    seen = placed.query("a%20b%C3%A9").request.path_url
    assert seen == "/v1/query/a%20b%C3%A9"
    assert placed.query("a%20b").json()["view_type"] == "a b"


def test_queries_over_grpc(placed):
    r = placed.query("orders", {}, tenant="beta")
    assert r.status_code == 200 and r.headers["content-type"] == "application/json"
    assert r.json()["tenant"] == "beta" and r.json()["view_type"] == "orders"


def test_unplaced(placed):
    is_error(placed.query("x", tenant="nowhere"), 503, "tenant_unplaced")
    r = placed.command(tenant="nowhere")
    is_error(r, 503, "tenant_unplaced")
    assert int(r.headers["retry-after"]) > 0
    metrics = placed.gw.call("GET", "/metrics", listener="admin").text
    assert re.search(r'^gateway_routing_misses_total\{kind="aggregate"\} 1$', metrics, re.M)


# ---- commands


@pytest.mark.parametrize("tenant", ["acme", "beta"])
def test_commands(placed, tenant):
    r = placed.command(tenant=tenant, metadata={"why": "tést"})
    assert r.status_code == 200, r.text
    answer = r.json()
    assert list(answer) == ["command_id", "aggregate_type", "aggregate_id", "version", "events"]
    assert UUID7.match(answer["command_id"])
    assert (answer["aggregate_type"], answer["aggregate_id"], answer["version"]) == ("order", "1", 1)
    event, = answer["events"]
    assert list(event) == ["event_id", "event_type", "version", "payload", "occurred_at"]
    assert (event["version"], event["payload"]) == (1, {"n": 1})
    # the same command again is the same answer
    again = placed.command(tenant=tenant, command_id=answer["command_id"], metadata={"why": "tést"})
    assert again.json() == answer
    assert placed.command(tenant=tenant, expected_version=1).json()["version"] == 2
    r = placed.command(tenant=tenant, expected_version=1)
    assert r.status_code == 409 and r.json()["code"] == "version_conflict"  # beta's is the node's own


def test_payloads_stay_as_they_were(placed):
    payload = '{ "big" : 1E+5, "n":1.50,"s":"\\u00e9\\/" , "k":[ ] }'
    r = placed.gw.call("POST", "/v1/commands/order/2", placed.token, "acme",
                       data='{"command_type":"t","payload":%s}' % payload, headers={"content-type": "application/json"})
    assert r.status_code == 200, r.text
    assert '"payload":' + payload in r.text


@pytest.mark.parametrize("body,code", [
    ("", "bad_json"), ('{"command_type":"t","payload":}', "bad_json"), ("[]", "invalid_field"),
    ('{"payload":1}', "invalid_field"), ('{"command_type":"t"}', "invalid_field"),
    ('{"command_type":"t","payload":1,"extra":1}', "unknown_field"),
    ('{"command_type":"t","payload":1,"expected_version":-1}', "invalid_field"),
    ('{"command_type":"t","payload":1,"metadata":{"a":1}}', "invalid_field"),
    ('{"command_type":"t","payload":1,"command_id":"a b"}', "invalid_field"),
])
@pytest.mark.parametrize("tenant", ["acme", "beta"])
def test_bad_commands(placed, body, code, tenant):
    r = placed.gw.call("POST", "/v1/commands/order/1", placed.token, tenant, data=body,
                       headers={"content-type": "application/json"})
    is_error(r, 400, code)


def test_command_statuses(placed):
    r = placed.gw.call("POST", "/v1/commands/order/1", placed.token, "acme", data="x",
                       headers={"content-type": "text/plain"})
    is_error(r, 415, "unsupported_media_type")


# ---- gRPC callers


@pytest.mark.parametrize("tenant", ["acme", "beta"])
def test_grpc_commands(placed, protos, tenant):
    with protos.client(placed.gw.replicas[0].grpc) as client:
        submit = client.call("SubmitCommand")
        request = protos.command.SubmitCommandRequest(
            aggregate_type="order", aggregate_id="9", command_type="place", payload=b'{"a": 1.50}',
            metadata={"k": "v"})
        answer = submit(request, metadata=placed.metadata(tenant), timeout=60)
        assert UUID7.match(answer.command_id) and answer.version == 1
        assert json.loads(answer.events[0].payload) == {"a": 1.5}
        request.command_id = answer.command_id
        assert submit(request, metadata=placed.metadata(tenant), timeout=60) == answer
        request.command_id = str(uuid.uuid4())
        request.expected_version = 7
        with pytest.raises(grpc.RpcError) as e:
            submit(request, metadata=placed.metadata(tenant), timeout=60)
        assert e.value.code() in (grpc.StatusCode.ABORTED, grpc.StatusCode.FAILED_PRECONDITION)


def test_grpc_refusals(placed, protos):
    with protos.client(placed.gw.replicas[0].grpc) as client:
        submit = client.call("SubmitCommand")
        good = dict(aggregate_type="order", aggregate_id="9", command_type="place", payload=b"{}")

        def code(tenant="acme", **change):
            with pytest.raises(grpc.RpcError) as e:
                submit(protos.command.SubmitCommandRequest(**{**good, **change}),
                       metadata=placed.metadata(tenant), timeout=60)
            return e.value.code()

        assert code(aggregate_type="") == grpc.StatusCode.INVALID_ARGUMENT
        assert code(aggregate_id="") == grpc.StatusCode.INVALID_ARGUMENT
        assert code(tenant="beta", aggregate_id="..") == grpc.StatusCode.INVALID_ARGUMENT
        assert code(command_id="a b") == grpc.StatusCode.INVALID_ARGUMENT
        assert code(tenant="nowhere") == grpc.StatusCode.UNAVAILABLE
        assert code(tenant="beta", payload=b"{") == grpc.StatusCode.INVALID_ARGUMENT


# ---- nodes that fail


BAD = [
    {"mode": "bad_framing", "kind": kind}
    for kind in ("two_lengths", "both", "bad_chunk", "bad_status", "bad_header", "long_head")
]


@pytest.mark.parametrize("order", BAD, ids=lambda o: o["kind"])
def test_nonsense_is_502(placed, order):
    is_error(placed.fault(**order), 502, "bad_upstream")
    assert placed.query("bench").status_code == 200


@pytest.mark.parametrize("mode", ["close", "reset_mid_body", "short_body"])
def test_lost_answers(placed, mode):
    """A query is tried once more; then the caller is told."""
    key = str(uuid.uuid4())
    is_error(placed.fault(mode=mode, key=key, bytes=1000), 502, "upstream_unavailable")
    assert placed.a.count(key) == 2
    key = str(uuid.uuid4())
    r = placed.fault(mode=mode, key=key, times=1, bytes=1000)
    assert r.status_code == 200, r.text
    assert placed.a.count(key) == 2


@pytest.mark.parametrize("mode", ["chunked", "until_close", "large"])
@pytest.mark.parametrize("size", [10, 5000, 300_000, 3_000_000])
def test_bodies(placed, mode, size):
    r = placed.fault(mode=mode, bytes=size)
    assert r.status_code == 200 and len(r.content) == size
    assert r.content == b'"' + b"x" * (size - 2) + b'"'


@pytest.mark.parametrize("tenant", ["acme", "beta"])
def test_time_limits(placed, tenant):
    r = placed.query("fault", {"mode": "delay", "ms": 20000}, tenant, headers={"x-request-timeout-ms": "150"})
    is_error(r, 504, "upstream_timeout")
    assert 0.1 < r.elapsed.total_seconds() < 9  # upstream.first_byte_timeout is ten seconds
    is_error(placed.query("bench", tenant=tenant, headers={"x-request-timeout-ms": "soon"}), 400, "bad_request")


@pytest.mark.parametrize("status,expected,code", [
    (3, 400, "bad_request"), (5, 404, "not_found"), (7, 403, "forbidden"), (8, 429, "rate_limited"),
    (9, 409, "conflict"), (10, 409, "conflict"), (12, 501, "unimplemented"), (13, 502, "node_failed"),
    (14, 503, "node_unavailable"), (2, 502, "node_failed"), (16, 502, "node_failed"),
])
def test_grpc_statuses(placed, status, expected, code):
    body = is_error(placed.fault("beta", mode="status", status=status), expected, code)
    assert "ordered by the test" in body["error"]


def test_grpc_connections_that_end(placed):
    for _ in range(3):
        assert placed.fault("beta", mode="goaway").status_code == 200
        key = str(uuid.uuid4())
        assert placed.fault("beta", mode="refuse", key=key, times=1).status_code == 200
        assert placed.a.count(key) == 2


@pytest.mark.parametrize("tenant", ["acme", "beta"])
def test_a_node_that_is_gone(placed, tenant):
    assert placed.query("orders", tenant=tenant).status_code == 200
    placed.a.kill()
    is_error(placed.query("orders", tenant=tenant), 502, "upstream_unavailable")
    placed.a.start()
    until(lambda: placed.query("orders", tenant=tenant).status_code == 200, what="the node to be found again")


def test_one_of_two_nodes_is_killed_under_load(placed):
    """Queries and commands with an id may be asked twice: no caller notices."""
    placed.route(http=[placed.a.http, placed.b.http], grpc_=[placed.a.grpc, placed.b.grpc])
    until(lambda: placed.b.name in {placed.query("echo").json()["node"] for _ in range(4)}, what="both nodes to serve")
    stop, bad, served = threading.Event(), [], [0]

    def load(tenant):
        with requests.Session() as s:
            while not stop.is_set():
                r = s.post(f"{placed.gw.replicas[0].http}/v1/query/orders", json={}, timeout=60,
                           headers={"authorization": f"Bearer {placed.token}", "x-tenant-id": tenant})
                served[0] += 1
                if r.status_code != 200:
                    bad.append((tenant, r.status_code, r.text))

    threads = [threading.Thread(target=load, args=(t,)) for t in ("acme", "beta") * 4]
    for t in threads:
        t.start()
    until(lambda: served[0] > 400, what="load before the kill")
    placed.b.kill()
    before = served[0]
    until(lambda: served[0] > before + 400, what="load after the kill")
    stop.set()
    for t in threads:
        t.join()
    assert not bad, bad[:5]
    metrics = placed.gw.call("GET", "/metrics", listener="admin").text
    assert f'gateway_upstream_circuit_state{{kind="projection",shard="h",endpoint="{placed.b.http}"}}' in metrics


def test_a_client_that_leaves_ends_the_work(placed):
    with placed.gw.replicas[0].connect() as c:
        body = b'{"mode":"delay","ms":60000}'
        c.send(b"POST /v1/query/fault HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
               b"authorization: Bearer %s\r\nx-tenant-id: acme\r\ncontent-length: %d\r\n\r\n%s"
               % (placed.token.encode(), len(body), body))
        until(lambda: 'gateway_upstream_connections{kind="projection",shard="h"} 1' in
              placed.gw.call("GET", "/metrics", listener="admin").text, what="the query to be under way")
    cancelled = 'gateway_upstream_requests_total{kind="projection",shard="h",outcome="cancelled"} 1'
    until(lambda: cancelled in placed.gw.call("GET", "/metrics", listener="admin").text, what="the cancellation")


def test_who_has_left_costs_nodes_nothing(gateway, rqlite3, nodes):
    """Callers who leave while the store is asked who they are."""
    placed = Placed(lambda: gateway("rqlite", rqlite=rqlite3, config={"workers": 1}), nodes)
    replica = placed.gw.replicas[0]
    replica.kill()
    replica.start()  # knows nobody now
    for n in rqlite3.nodes:
        n.process.signal(signal.SIGSTOP)
    try:
        for request in (b"POST /v1/query/counter", b"POST /v1/commands/order/1", b"POST /v1/query:batch"):
            with replica.connect() as c:
                c.send(request + b" HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer %s"
                       b"\r\nx-tenant-id: acme\r\ncontent-length: 2\r\n\r\n{}" % placed.token.encode())
                assert placed.gw.call("GET", "/health").status_code == 200  # by the same worker, behind it
                c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert placed.gw.call("GET", "/health").status_code == 200
    finally:
        for n in rqlite3.nodes:
            n.process.signal(signal.SIGCONT)
    gone = lambda: [e for e in replica.log() if e.get("code") == "client_gone"]
    until(lambda: len(gone()) == 3, 15, "the three to end")
    assert not any("upstream" in e for e in gone()), gone()


# ---- node administration


def test_runner(placed):
    def call(path, method="POST", **kw):
        return placed.gw.call(method, path, placed.token, "acme", listener="admin", **kw)

    seen = call("/admin/runner/echo?x=%2F1", json={"a": 1}).json()
    assert (seen["method"], seen["target"], seen["body"]) == ("POST", "/admin/echo?x=%2F1", {"a": 1})
    assert dict(seen["headers"])["x-auth-tenant-id"] == "acme"
    assert call("/admin/runner/echo", "GET").json()["method"] == "GET"
    assert call("/admin/runner/tenants/acme/status", "GET").json()["accepting"] is True
    for path in ("/admin/runner/../routing", "/admin/runner/%2e%2e/x", "/admin/runner//x", "/admin/runner/a%2fb"):
        request = requests.Request("GET", f"http://x{path}").prepare()
        request.url = f"http://{placed.gw.replicas[0].address['admin']}{path}"
        request.headers.update({"authorization": f"Bearer {placed.token}", "x-tenant-id": "acme"})
        assert requests.Session().send(request, timeout=60).status_code in (400, 404), path
