"""gRPC on listen.grpc as clients meet it: statuses and their texts both ways, time limits, sizes, what is
refused and how, cancellation, keep-alive and the end. Python's grpcio where it can be made to say it, frames
where it can't."""
import json
import struct
import threading
import time

import grpc
import pytest

from harness.h2 import ACK, CALM, DATA, END_STREAM, GOAWAY, HEADERS, PING, RST, Client, frame
from harness.nodes import CommandNode, HttpNode
from harness.wait import until

SUBMIT = "/aggregate.gateway.v1.CommandService/SubmitCommand"
GOOD = dict(aggregate_type="order", aggregate_id="9", command_type="place", payload=b"{}")
NASTY = "tést 100%25 \n\r\t\x01 日本\x7f"


@pytest.fixture
def node(protos):
    """A gRPC node that answers as node.answer says."""
    node = CommandNode(protos, lambda request, context: protos.command.SubmitCommandResponse(
        command_id=request.command_id, aggregate_type=request.aggregate_type, version=1))
    yield node
    node.stop()


@pytest.fixture
def at_node(placed, node):
    placed.route(grpc_=[node.grpc])
    return placed


def submit(placed, protos, tenant="acme", metadata=(), timeout=60, **change):
    with protos.client(placed.gw.replicas[0].grpc) as client:
        return client.submit(tenant, metadata, timeout, placed.token, **{**GOOD, **change})


def refused(*args, **kw):
    with pytest.raises(grpc.RpcError) as e:
        submit(*args, **kw)
    return e.value.code().value[0], e.value.details()


class Caller(Client):
    """Frames that a gRPC client could send, and some that it couldn't."""

    def __init__(self, placed, **kw):
        super().__init__(placed.gw.replicas[0].port("grpc"), **kw)
        self.placed, self.next = placed, 1

    def open(self, *fields, tenant="acme", path=SUBMIT, content_type="application/grpc", flags=0, method="POST"):
        stream, self.next = self.next, self.next + 2
        fields = [("te", "trailers"), ("authorization", f"Bearer {self.placed.token}"), ("x-tenant-id", tenant), *fields]
        if content_type:
            fields.append(("content-type", content_type))
        self.request(stream, *fields, flags=flags, method=method, path=path)
        return stream

    def data(self, stream, data, flags=END_STREAM):
        for at in range(0, max(len(data), 1), 16384):
            part = data[at:at + 16384]
            self.send(frame(DATA, flags if at + 16384 >= len(data) else 0, stream, part))

    def call(self, data, *fields, **kw):
        stream = self.open(*fields, **kw)
        self.data(stream, data)
        return self.response(stream)


def message(data, flag=0, length=None):
    return struct.pack(">BI", flag, len(data) if length is None else length) + data


@pytest.fixture
def good(protos):
    return protos.command.SubmitCommandRequest(**GOOD).SerializeToString()


# ---- statuses and texts


def test_statuses_of_a_grpc_node_reach_a_grpc_caller(at_node, node, protos):
    for code in grpc.StatusCode:
        if code is grpc.StatusCode.OK:
            continue
        node.answer = lambda request, context: context.abort(code, NASTY)
        assert refused(at_node, protos) == (code.value[0], NASTY), code


def test_statuses_of_a_grpc_node_reach_an_http_caller(at_node, node):
    for code, status in [("INVALID_ARGUMENT", 400), ("NOT_FOUND", 404), ("FAILED_PRECONDITION", 409), ("INTERNAL", 502),
                         ("UNAVAILABLE", 503), ("DEADLINE_EXCEEDED", 504), ("RESOURCE_EXHAUSTED", 429)]:
        node.answer = lambda request, context: context.abort(getattr(grpc.StatusCode, code), "tést 日本")
        r = at_node.command()
        assert (r.status_code, r.json()["error"]) == (status, "tést 日本"), r.text


def test_statuses_of_an_http_node_reach_a_grpc_caller(placed, protos):
    wanted = {400: 3, 401: 13, 403: 7, 404: 5, 408: 4, 409: 6, 410: 5, 412: 6, 413: 8, 418: 13, 422: 3, 429: 8,
              500: 13, 501: 12, 502: 14, 503: 14, 504: 4}
    told = {}
    node = HttpNode(lambda path, body: (told["status"], told["body"]))
    placed.route(http=[node.http])
    try:
        for status, code in wanted.items():
            told.update(status=status, body={"code": "x", "error": NASTY, "details": {}})
            assert refused(placed, protos, "beta") == (code, NASTY), status
        told.update(status=409, body=b"not an envelope")
        assert refused(placed, protos, "beta", expected_version=4)[0] == 9
        told.update(status=200, body=b"not an answer")
        assert refused(placed, protos, "beta")[0] == 13
    finally:
        node.stop()


def test_long_texts_are_cut(at_node, node, protos):
    node.answer = lambda request, context: context.abort(grpc.StatusCode.ABORTED, "日" * 1500)
    code, text = refused(at_node, protos)
    assert code == 10 and text == "日" * (2048 // 3)


def test_refusals_of_the_gateway_are_statuses(placed, protos, good):
    with Caller(placed) as c:
        headers, body = c.call(message(good), tenant="nowhere")
        assert (headers[":status"], headers["grpc-status"], body) == ("200", "14", b"")
        assert headers["grpc-message"] == "the tenant has no aggregate placement"
        assert headers["content-type"] == "application/grpc" and "www-authenticate" not in headers
    placed.token = "nonsense"
    assert refused(placed, protos) == (16, "authentication is required or failed")


# ---- time limits


def test_the_node_learns_how_long_it_has(at_node, node, protos):
    began = time.monotonic()
    submit(at_node, protos, timeout=25)
    request, metadata, left = node.calls[-1]
    assert 24 - (time.monotonic() - began) < left < 26  # grpcio rounds its own limit up
    assert metadata["x-tenant-id"] == "acme" and metadata["x-correlation-id"] and metadata["traceparent"]
    began = time.monotonic()
    at_node.gw.call("POST", "/v1/commands/order/1", at_node.token, "acme", headers={"x-request-timeout-ms": "12500"},
                    json={"command_type": "t", "payload": 1})
    assert 11.5 - (time.monotonic() - began) < node.calls[-1][2] <= 12.5


@pytest.mark.parametrize("value", ["200m", "200000u", "00000200m", "99999999n"])
def test_the_gateway_ends_the_call_in_time(at_node, node, good, value):
    over = threading.Event()
    node.answer = lambda request, context: over.wait(60)
    try:
        with Caller(at_node) as c:
            began = time.monotonic()
            headers, body = c.call(message(good), ("grpc-timeout", value))
            assert (headers["grpc-status"], body) == ("4", b"") and time.monotonic() - began < 9
    finally:
        over.set()


@pytest.mark.parametrize("value,status", [
    ("1H", "0"), ("99999999H", "0"), ("1M", "0"), ("9S", "0"), ("9999m", "0"), ("9999999u", "0"), ("0S", "4"), ("1n", "4"),
    ("", "3"), ("S", "3"), ("1", "3"), ("1s", "3"), ("123456789S", "3"), ("-1S", "3"), ("+1S", "3"), ("1.5S", "3"), ("1 S", "3"),
    ("1SS", "3"), ("0x1S", "3"),
])
def test_time_limits_are_read_strictly(at_node, good, value, status):
    with Caller(at_node) as c:
        assert c.call(message(good), ("grpc-timeout", value))[0]["grpc-status"] == status
        assert c.call(message(good), ("grpc-timeout", "5S"), ("grpc-timeout", "5S"))[0]["grpc-status"] == "3"


# ---- messages


def test_messages(at_node, good):
    limit = 1 << 20
    room = limit - len(good) - 7
    fill = lambda n: good + b"\xfa\x06" + struct.pack("BBB", n & 127 | 128, n >> 7 & 127 | 128, n >> 14) + b"x" * n
    exact = fill(room + 2)
    assert len(exact) == limit
    rows = {
        "as it should be": (message(good), "0"),
        "exactly the limit": (message(exact), "0"),
        "one byte more": (message(exact + b"x"), "8"),
        "announces more": (message(b"", length=limit + 1), "8"),
        "announces most": (message(b"", length=0xffffffff), "8"),
        "compressed": (message(good, flag=1), "12"),
        "a flag that is none": (message(good, flag=2), "3"),
        "two messages": (message(good) * 2, "12"),
        "no message": (b"", "12"),
        "half a prefix": (b"\0\0", "3"),
        "half a message": (message(good)[:-1], "3"),
        "no protobuf": (message(b"\xff" * 20), "3"),
    }
    with Caller(at_node) as c:
        for name, (data, status) in rows.items():
            headers, _ = c.call(data)
            assert (headers[":status"], headers["grpc-status"]) == ("200", status), (name, headers)
            assert ("grpc-accept-encoding" in headers) == (name == "compressed"), headers
            says = headers.get("grpc-message", "").startswith("this method takes exactly one message")
            assert says == (name in ("two messages", "no message")), (name, headers)


def test_compression_is_unimplemented(at_node, protos):
    with grpc.insecure_channel(at_node.gw.replicas[0].grpc, compression=grpc.Compression.Gzip) as channel:
        call = channel.unary_unary(SUBMIT, request_serializer=protos.command.SubmitCommandRequest.SerializeToString)
        with pytest.raises(grpc.RpcError) as e:
            call(protos.command.SubmitCommandRequest(**{**GOOD, "payload": b"1" * 5000}), timeout=60,
                 metadata=at_node.metadata())
        assert e.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("content_type", [
    "text/plain", "application/json", "application/grpc-web", "application/grpc-web+proto", "application/grpc+json",
    "application/grpcx", None])
def test_other_content_types_are_415(at_node, good, content_type):
    with Caller(at_node) as c:
        headers, body = c.call(message(good), content_type=content_type)
        assert headers[":status"] == "415" and json.loads(body)["code"] == "unsupported_media_type"


@pytest.mark.parametrize("content_type", [
    "application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8", "Application/GRPC"])
def test_content_types_of_grpc(at_node, good, content_type):
    with Caller(at_node) as c:
        assert c.call(message(good), content_type=content_type)[0]["grpc-status"] == "0"


@pytest.mark.parametrize("path", [
    "/aggregate.gateway.v1.CommandService/Other", "/aggregate.gateway.v1.Other/SubmitCommand", "/x", SUBMIT + "/x",
    "/v1/query/orders", "/health", "/projection.gateway.v1.QueryService/ExecuteQuery"])
def test_unknown_methods_are_unimplemented(placed, path):
    with Caller(placed) as c:
        headers, body = c.call(message(b""), path=path)
        assert (headers[":status"], headers.get("grpc-status"), body) == ("200", "12", b""), headers


def test_other_methods_of_http_are_405(placed):
    with Caller(placed) as c:
        stream = c.open(method="GET", content_type=None, flags=END_STREAM)
        headers, _ = c.response(stream)
        assert headers[":status"] == "405" and "POST" in headers["allow"]


def test_binary_metadata_is_passed_over(at_node, node, protos, good):
    assert submit(at_node, protos, metadata=[("trace-bin", bytes(range(256))), ("x-bin", b"")]).version == 1
    with Caller(at_node) as c:
        headers, _ = c.call(message(good), ("a-bin", "not base64 !"), ("b-bin", "AAA,AAA="), ("grpc-trace-bin", "="))
        assert headers["grpc-status"] == "0"
    assert not [k for _, metadata, _ in node.calls for k in metadata if k.endswith("-bin")]


# ---- the way a call goes


def test_cancellation_reaches_the_node(at_node, node, protos, good):
    begun, over = threading.Event(), threading.Event()

    def answer(request, context):
        context.add_callback(over.set)
        begun.set()
        over.wait(60)
        return protos.command.SubmitCommandResponse()

    node.answer = answer
    for how in ("library", "reset", "gone"):
        begun.clear(), over.clear()
        if how == "library":
            with protos.client(at_node.gw.replicas[0].grpc) as client:
                future = client.call("SubmitCommand").future(protos.command.SubmitCommandRequest(**GOOD), timeout=60,
                                                             metadata=at_node.metadata())
                assert begun.wait(60)
                future.cancel()
                assert over.wait(9), how  # before the node's time is over
            continue
        with Caller(at_node) as c:
            stream = c.open()
            c.data(stream, message(good))
            assert begun.wait(60)
            if how == "reset":
                c.send(frame(RST, 0, stream, b"\0\0\0\x08"))
                assert over.wait(9), how  # before the node's time is over
        assert over.wait(9), how  # before the node's time is over


def test_many_calls_on_one_channel(at_node, protos):
    with protos.client(at_node.gw.replicas[0].grpc) as client:
        call = client.call("SubmitCommand")
        futures = [call.future(protos.command.SubmitCommandRequest(**{**GOOD, "command_id": f"c{i}"}), timeout=60,
                               metadata=at_node.metadata()) for i in range(500)]
        assert [f.result().command_id for f in futures] == [f"c{i}" for i in range(500)]


# ---- the connection


def test_pings_are_answered_until_they_are_too_many(placed):
    ping = frame(PING, 0, 0, b"12345678")
    with Caller(placed) as c:
        answered = 0
        c.send(ping)
        for kind, flags, _, payload in c.frames():
            if kind == PING:
                assert flags & ACK and payload == b"12345678"
                answered += 1
                c.send(ping)
            if kind == GOAWAY:
                assert struct.unpack(">I", payload[4:8])[0] == CALM
                break
        assert answered > 500 and payload[8:] == b"too_many_pings"
        for _ in c.frames():
            pass


@pytest.mark.parametrize("answers", [True, False])
def test_a_silent_client_is_asked_whether_it_is_there(gateway, nodes, protos, good, answers):
    from harness.placed import Placed
    over = threading.Event()
    node = CommandNode(protos, lambda request, context: over.wait(60) and protos.command.SubmitCommandResponse())
    # who answers has time to: whoever does not is found out all the same
    placed = Placed(lambda: gateway(config={"timeouts.idle": "2s" if answers else "300ms"}), nodes)
    placed.route(grpc_=[node.grpc])
    try:
        with Caller(placed) as c:
            stream = c.open()
            c.data(stream, message(good))
            pings = 0
            for kind, flags, on, payload in c.frames():
                if kind == PING and not flags & ACK:
                    pings += 1
                    if answers:
                        c.send(frame(PING, ACK, 0, payload))
                    if pings == 2:
                        over.set()
                if kind == HEADERS and on == stream and flags & END_STREAM:
                    assert answers
                    break
            else:
                assert not answers and pings == 1
    finally:
        over.set()
        node.stop()


def test_a_drain_lets_calls_finish(at_node, node, protos, good):
    begun, over = threading.Event(), threading.Event()

    def answer(request, context):
        begun.set()
        over.wait(60)
        return protos.command.SubmitCommandResponse(version=7)

    node.answer = answer
    with Caller(at_node) as c, protos.client(at_node.gw.replicas[0].grpc) as client:
        stream = c.open()
        c.data(stream, message(good))
        assert begun.wait(60)
        future = client.call("SubmitCommand").future(protos.command.SubmitCommandRequest(**GOOD), timeout=60,
                                                     metadata=at_node.metadata())
        until(lambda: len(node.calls) == 2, what="both calls to be under way")
        at_node.gw.replicas[0].process.signal(15)
        frames = c.frames()
        last = next(p for k, _, _, p in frames if k == GOAWAY)
        assert struct.unpack(">II", last[:8]) == (0x7fffffff, 0)
        over.set()
        headers, body = c.response(stream)
        assert headers["grpc-status"] == "0" and body[5:] == b"\x20\x07"
        assert future.result().version == 7
        assert c.goaway() == 0
    assert at_node.gw.replicas[0].process.popen.wait(25) == 0
