"""samplenode itself: every other test trusts it, so it is held to its word here."""
import concurrent.futures
import json
import threading

import grpc
import pytest
import requests

from harness.raw import Connection, raw
from harness.wait import until


def submit(client, n=1, **fields):
    base = dict(command_id=f"c{n}", aggregate_type="order", aggregate_id="o1", command_type="place",
                payload=b'{"n":1}')
    return client.submit("acme", **{**base, **fields})


def failure(call, *args, **kw):
    with pytest.raises(grpc.RpcError) as e:
        call(*args, **kw)
    return e.value.code(), e.value.details()


@pytest.fixture
def client(node, protos):
    with protos.client(node.address["grpc"]) as c:
        yield c


# ---- commands over gRPC -------------------------------------------------------------------------

def test_versions_count_from_one_for_each_aggregate(client):
    assert [submit(client, n).version for n in (1, 2)] == [1, 2]
    assert submit(client, 3, aggregate_id="o2").version == 1


def test_the_answer_carries_the_event(client):
    answer = submit(client)
    event, = answer.events
    assert (answer.command_id, answer.aggregate_type, answer.aggregate_id) == ("c1", "order", "o1")
    assert (event.event_type, event.version, event.payload) == ("place", 1, b'{"n":1}')
    assert event.event_id[14] == "7" and event.occurred_at.endswith("Z")


def test_the_same_command_id_gets_the_same_answer(client):
    first = submit(client)
    submit(client, 2)
    assert submit(client) == first


def answered(call, tries=5):
    for left in reversed(range(tries)):
        try:
            return call()
        except grpc.RpcError as e:
            if e.code() is not grpc.StatusCode.UNAVAILABLE or left == 0:
                raise


def test_a_lost_answer_is_given_again(client, node):
    message = client.protos.command.SubmitCommandRequest(
        command_id="lost", aggregate_type="order", aggregate_id="o1", command_type="place",
        metadata={"node_lose_answer": "1"})
    call = client.call("SubmitCommand")
    # the HTTP/2 connection dies under the first call; the library may retry it by itself
    try:
        call(message, metadata=(("x-tenant-id", "acme"),), timeout=60)
    except grpc.RpcError as e:
        assert e.code() is grpc.StatusCode.UNAVAILABLE
    # nor may it have noticed yet that the connection is gone
    assert answered(lambda: call(message, metadata=(("x-tenant-id", "acme"),), timeout=60)).version == 1
    assert node.query("orders").json()["count"] == 1


def test_tenants_do_not_share_aggregates_or_commands(client):
    submit(client)
    other = client.submit("globex", command_id="c1", aggregate_type="order", aggregate_id="o1",
                          command_type="place")
    assert other.version == 1


def test_a_reused_command_id_with_another_target_is_refused(client):
    submit(client)
    code, text = failure(submit, client, aggregate_id="o2")
    assert code is grpc.StatusCode.ALREADY_EXISTS and "o1" in text


@pytest.mark.parametrize("expected, ok", [(0, True), (1, False), (7, False)])
def test_expected_version_on_a_new_aggregate(client, expected, ok):
    if ok:
        assert submit(client, expected_version=expected).version == 1
    else:
        code, text = failure(submit, client, expected_version=expected)
        assert code is grpc.StatusCode.ABORTED
        assert text == f"expected version {expected}, the aggregate is at 0"


def test_a_refused_command_leaves_no_event(client, node):
    failure(submit, client, expected_version=5)
    assert node.query("orders").json()["count"] == 0
    assert submit(client).version == 1


def test_a_replay_wins_over_its_own_stale_expected_version(client):
    assert submit(client, expected_version=0) == submit(client, expected_version=0)


def test_concurrent_writers_with_expected_version_one_wins(client):
    def write(n):
        try:
            return submit(client, n, expected_version=0).version
        except grpc.RpcError as e:
            return e.code()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        results = list(pool.map(write, range(16)))
    assert sorted(results, key=str) == sorted([1] + [grpc.StatusCode.ABORTED] * 15, key=str)


@pytest.mark.parametrize("field", ["aggregate_type", "aggregate_id", "command_type"])
def test_a_command_needs_type_and_target(client, field):
    code, _ = failure(submit, client, **{field: ""})
    assert code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_payload_that_is_no_json_is_refused(client):
    code, text = failure(submit, client, payload=b"{oops")
    assert code is grpc.StatusCode.INVALID_ARGUMENT and "payload" in text


def test_grpc_without_tenant_is_refused(client):
    code, text = failure(client.submit, None, aggregate_type="a", aggregate_id="b", command_type="c")
    assert code is grpc.StatusCode.INVALID_ARGUMENT and "x-tenant-id" in text


@pytest.mark.parametrize("path", ["/aggregate.gateway.v1.CommandService/Nope", "/no.such.Service/SubmitCommand"])
def test_an_unknown_method_is_unimplemented(client, path):
    code, _ = failure(client.unary, path)
    assert code is grpc.StatusCode.UNIMPLEMENTED


def test_a_message_of_another_type_is_refused(client):
    code, _ = failure(client.unary, "/aggregate.gateway.v1.CommandService/SubmitCommand", b"\x0a\xff",
                      [("x-tenant-id", "acme")])
    assert code is grpc.StatusCode.INVALID_ARGUMENT


def test_many_streams_on_one_connection(client):
    calls = [client.call("SubmitCommand").future(
        client.protos.command.SubmitCommandRequest(command_id=f"c{n}", aggregate_type="order",
                                                   aggregate_id=f"o{n % 7}", command_type="place"),
        metadata=(("x-tenant-id", "acme"),), timeout=60) for n in range(500)]
    assert sorted(c.result().version for c in calls)[-1] == 72  # 500 over 7 aggregates


def test_a_large_payload_comes_back_whole(client):
    payload = b'"' + b"x" * 3_000_000 + b'"'
    assert submit(client, payload=payload).events[0].payload == payload


# ---- queries ------------------------------------------------------------------------------------

def test_queries_filter_and_keep_the_order(client, node):
    for n in range(5):
        submit(client, n, aggregate_id=f"o{n % 2}")
    result = node.query("orders", {"aggregate_id": "o0", "limit": 2}).json()
    assert result["view_type"] == "orders" and result["tenant"] == "acme" and result["count"] == 2
    assert [(e["aggregate_id"], e["version"]) for e in result["items"]] == [("o0", 1), ("o0", 2)]
    assert node.query("orders", {"aggregate_type": "invoice"}).json()["items"] == []
    assert node.query("orders", tenant="globex").json()["count"] == 0


def test_grpc_and_http_queries_agree(client, node):
    submit(client)
    over_grpc = json.loads(client.query("acme", "orders", b"{}").result)
    assert over_grpc == node.query("orders").json()


@pytest.mark.parametrize("body", [{"nope": 1}, {"limit": -1}, {"limit": "3"}, []])
def test_a_wrong_filter_is_refused(node, body):
    r = node.query("orders", body)
    assert (r.status_code, r.json()["code"]) == (400, "invalid_argument")


# ---- commands over HTTP -------------------------------------------------------------------------

def test_http_and_grpc_commands_share_the_ledger(client, node):
    over_http = node.command("order", "o1", command_id="c1", command_type="place", payload={"n": 1})
    assert over_http.status_code == 200
    over_grpc = submit(client, 1)
    assert over_grpc.events[0].event_id == over_http.json()["events"][0]["event_id"]


def test_http_version_conflict(node):
    r = node.command("order", "o1", command_type="place", expected_version=4)
    assert (r.status_code, r.json()["code"]) == (409, "version_conflict")


def test_an_unknown_field_is_named(node):
    r = node.command("order", "o1", command_type="place", colour="red")
    assert r.status_code == 400 and "colour" in r.json()["error"]


def test_aggregate_ids_are_percent_decoded(node):
    r = requests.post(f"{node.http}/v1/commands/order/a%20b%2Fc", json={"command_type": "place"},
                      headers={"x-tenant-id": "acme"}, timeout=60)
    assert r.json()["aggregate_id"] == "a b/c"


def test_a_lost_http_answer_is_given_again(node):
    body = dict(command_id="c1", command_type="place", metadata={"node_lose_answer": "1"})
    with pytest.raises(requests.ConnectionError):
        node.command("order", "o1", **body)
    again = node.command("order", "o1", **body)
    assert again.status_code == 200 and again.json()["version"] == 1
    assert node.query("orders").json()["count"] == 1


# ---- draining -----------------------------------------------------------------------------------

IDLE = {"accepting": True, "draining": False, "drained": False, "in_flight": 0, "lag": 0,
        "checkpoint_stable": True, "snapshot_available": True}


def test_status_of_a_tenant_at_rest(node):
    assert node.status("acme") == IDLE
    assert requests.get(f"{node.http}/admin/tenants/acme/status", timeout=60).json() == IDLE


def test_a_draining_tenant_refuses_commands_and_answers_queries(client, node):
    submit(client)
    node.drain("acme")
    assert node.status("acme") == {**IDLE, "accepting": False, "draining": True, "drained": True}
    assert failure(submit, client, 2)[0] is grpc.StatusCode.UNAVAILABLE
    r = node.command("order", "o1", command_type="place")
    assert (r.status_code, r.json()["code"]) == (503, "tenant_draining")
    assert node.query("orders").json()["count"] == 1
    assert client.submit("globex", aggregate_type="a", aggregate_id="b", command_type="c").version == 1
    node.resume("acme")
    assert submit(client, 2).version == 2


def slow_grpc(client, node, ms):
    message = client.protos.command.SubmitCommandRequest(
        aggregate_type="order", aggregate_id="o1", command_type="place", metadata={"node_delay_ms": str(ms)})
    return client.call("SubmitCommand").future(message, metadata=(("x-tenant-id", "acme"),), timeout=60)


def slow_http(client, node, ms):
    thread = threading.Thread(target=node.command, args=("order", "o1"), daemon=True,
                              kwargs={"command_type": "place", "metadata": {"node_delay_ms": str(ms)}})
    thread.start()
    return thread


@pytest.mark.parametrize("slow", [slow_grpc, slow_http])
def test_in_flight_counts_commands_whose_answer_is_held(client, node, slow):
    held = slow(client, node, 500)
    until(lambda: node.status("acme")["in_flight"] == 1)
    assert node.drain("acme")["drained"] is False
    until(lambda: node.status("acme")["drained"])
    assert held.result().version == 1 if slow is slow_grpc else held.join(60) is None


def test_a_caller_that_leaves_is_no_longer_in_flight(client, node):
    call = slow_grpc(client, node, 60000)
    until(lambda: node.status("acme")["in_flight"] == 1)
    call.cancel()
    until(lambda: node.status("acme")["in_flight"] == 0)


def test_gates_can_be_held_closed(node):
    node.pretend("acme", lag=12, checkpoint_stable=False)
    assert node.status("acme") == {**IDLE, "lag": 12, "checkpoint_stable": False}


# ---- HTTP/1.1 -----------------------------------------------------------------------------------

def test_echo_tells_what_arrived(node):
    r = node.query("echo", {"a": 1}, headers={"x-twice": "1, 2"}).json()
    assert r["node"] == "node" and r["method"] == "POST" and r["body"] == {"a": 1}
    assert ["x-twice", "1, 2"] in r["headers"] and ["x-tenant-id", "acme"] in r["headers"]


def test_pipelined_requests_are_answered_in_order(node):
    one = b"POST /v1/query/echo?%d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    with Connection(node.port()) as c:
        c.send(b"".join(one % n for n in range(20)))
        for n in range(20):
            status, _, body = c.response()
            assert status == 200 and b'"target":"/v1/query/echo?%d"' % n in body


def test_a_request_in_single_bytes(node):
    request = b"POST /v1/query/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\"a\"\r\n0\r\n\r\n"
    with Connection(node.port()) as c:
        for i in range(len(request)):
            c.send(request[i:i + 1])
        assert b'"body":"a"' in c.response()[2]


def test_bench_is_small_json(node):
    r = node.query("bench")
    assert r.json()["view_type"] == "bench" and 90 <= len(r.content) <= 110
    assert requests.get(node.http + "/", timeout=60).content == r.content


BAD = {
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "both framings": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "obs-fold": b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
    "bare lf": b"GET / HTTP/1.1\nHost: a\n\n",
    "nul in value": b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
    "bad chunk size": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "negative length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "empty method": b" / HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_requests_are_refused_and_closed(node, name):
    assert raw(node.port(), BAD[name]).startswith(b"HTTP/1.1 400 ")


def test_unknown_path_and_method(node):
    assert requests.get(f"{node.http}/nope", timeout=60).status_code == 404
    assert requests.get(f"{node.http}/v1/query/orders", timeout=60).status_code == 405


# ---- ordered failures ---------------------------------------------------------------------------

def test_fault_status_and_delay(node):
    assert node.query("fault", {"mode": "status", "status": 418}).status_code == 418
    r = node.query("fault", {"mode": "delay", "ms": 100})
    assert r.status_code == 200 and r.elapsed.total_seconds() >= 0.1


@pytest.mark.parametrize("mode", ["close", "refuse", "reset_mid_body"])
def test_fault_breaks_the_connection(node, mode):
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        node.query("fault", {"mode": mode})


def test_fault_ends_the_body_early(node):
    r = node.query("fault", {"mode": "short_body"})
    assert (len(r.content), r.headers["content-length"]) == (500, "1000")


@pytest.mark.parametrize("mode", ["chunked", "large", "until_close"])
def test_fault_sends_bodies(node, mode):
    assert len(node.query("fault", {"mode": mode, "bytes": 1_000_000}).content) == 1_000_000


def fault_bytes(node, **order):
    body = json.dumps({"mode": "bad_framing", **order}).encode()
    return raw(node.port(), b"POST /v1/query/fault HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


@pytest.mark.parametrize("kind, sign", [
    ("two_lengths", b"content-length: 5\r\ncontent-length: 7\r\n"), ("both", b"transfer-encoding: chunked"),
    ("bad_chunk", b"\r\nxyz\r\n"), ("bad_status", b"HTTP/1.1 abc"), ("bad_header", b"content-length : 5"),
    ("long_head", b"x-long: xxxx")])
def test_fault_bad_framing(node, kind, sign):
    assert sign in fault_bytes(node, kind=kind)


def test_fault_for_the_first_requests_of_a_key(node):
    order = {"mode": "status", "status": 500, "key": "k", "times": 2}
    assert [node.query("fault", order).status_code for _ in range(4)] == [500, 500, 200, 200]
    assert node.count("k") == 4 and node.count("other") == 0


@pytest.mark.parametrize("order, code", [
    ({"mode": "status", "status": 8}, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ({"mode": "reset_mid_body"}, grpc.StatusCode.INTERNAL),
    ({"mode": "refuse"}, grpc.StatusCode.UNAVAILABLE),
    ({"mode": "close"}, grpc.StatusCode.UNAVAILABLE),
    ({"mode": "nope"}, grpc.StatusCode.INVALID_ARGUMENT),
])
def test_grpc_faults(client, order, code):
    assert failure(client.query, "acme", "fault", json.dumps(order).encode())[0] is code


def test_grpc_goaway_answers_and_the_next_call_reconnects(client):
    client.query("acme", "fault", b'{"mode":"goaway"}')
    assert client.query("acme", "orders", b"{}").result


def test_grpc_echo_shows_metadata(client):
    answer = json.loads(client.query("acme", "echo", b"{}", [("x-auth-user-id", "u1")]).result)
    assert ["x-auth-user-id", "u1"] in answer["headers"] and answer["tenant"] == "acme"


def test_a_crashed_node_comes_back_empty_on_its_ports(node):
    node.command("order", "o1", command_type="place")
    address = dict(node.address)
    node.kill()
    node.start()
    assert node.address == address and node.query("orders").json()["count"] == 0
