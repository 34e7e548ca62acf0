"""HTTP/2 as frames, against the running gateway: the error cases of RFC 9113, floods, and clients that
neither read nor write. Each ends in a stream error, a GOAWAY or a closed connection; another client is
served all the while."""
import json
import socket
import struct

import pytest

from harness.h2 import (ACK, CALM, COMPRESSION, CONTINUATION, DATA, END_STREAM, FLOW, GOAWAY, HEADERS,
                        PADDED, PING, PRIORITY, PROTOCOL, PUSH, REFUSED, RST, SETTINGS, SIZE, WINDOW, Client,
                        frame, settings)


@pytest.fixture
def port(gateway):
    replica = gateway(config={"timeouts.header": "3s", "timeouts.body": "3s"}).replicas[0]
    yield replica.port("grpc")
    with Client(replica.port("grpc")) as c:  # whatever a test did: others are served
        c.request(1)
        assert c.response(1)[0][":status"] == "200"


def test_http_api_over_http2(port):
    with Client(port) as c:
        c.request(1)
        headers, body = c.response(1)
        assert headers[":status"] == "200" and json.loads(body)["status"] == "ok"
        assert headers["content-length"] == str(len(body)) and headers["date"] and headers["x-correlation-id"]
        c.request(3, path="/nothing")
        headers, body = c.response(3)
        assert headers[":status"] == "404"
        assert json.loads(body)["request_id"] == headers["x-correlation-id"]
        c.request(5, method="HEAD")
        headers, body = c.response(5)
        assert headers[":status"] == "200" and body == b""
        c.request(7, ("content-type", "application/json"), method="POST", path="/v1/auth/signin", flags=0)
        c.send(frame(DATA, PADDED, 7, b"\x03{}\0\0\0") + frame(DATA, END_STREAM, 7))
        assert c.response(7)[0][":status"] == "400"


CONNECTION_ERRORS = [
    ("no SETTINGS first", None, frame(PING, payload=b"12345678"), PROTOCOL),
    ("DATA on stream 0", settings(), frame(DATA, payload=b"x"), PROTOCOL),
    ("DATA on idle stream", settings(), frame(DATA, 0, 1, b"x"), PROTOCOL),
    ("RST_STREAM on idle stream", settings(), frame(RST, 0, 1, b"\0\0\0\x08"), PROTOCOL),
    ("HEADERS on stream 0", settings(), frame(HEADERS, 5, 0, b"\x82"), PROTOCOL),
    ("HEADERS on even stream", settings(), frame(HEADERS, 5, 2, b"\x82"), PROTOCOL),
    ("PUSH_PROMISE", settings(), frame(PUSH, 4, 1, b"\0\0\0\x02\x82"), PROTOCOL),
    ("CONTINUATION alone", settings(), frame(CONTINUATION, 4, 1, b"\x82"), PROTOCOL),
    ("frame between HEADERS and CONTINUATION", settings(),
     frame(HEADERS, 1, 1, b"\x82") + frame(PING, payload=b"12345678"), PROTOCOL),
    ("frame too large", settings(), frame(DATA, 0, 1, b"x" * 16385), SIZE),
    ("SETTINGS of odd size", settings(), frame(SETTINGS, payload=b"12345"), SIZE),
    ("SETTINGS ack with payload", settings(), frame(SETTINGS, ACK, payload=b"123456"), SIZE),
    ("SETTINGS on a stream", settings(), frame(SETTINGS, 0, 1), PROTOCOL),
    ("ENABLE_PUSH 2", settings(), settings((2, 2)), PROTOCOL),
    ("INITIAL_WINDOW_SIZE too large", settings(), settings((4, 2 ** 31)), FLOW),
    ("MAX_FRAME_SIZE too small", settings(), settings((5, 100)), PROTOCOL),
    ("PING of odd size", settings(), frame(PING, payload=b"1"), SIZE),
    ("WINDOW_UPDATE by 0", settings(), frame(WINDOW, payload=b"\0\0\0\0"), PROTOCOL),
    ("window overflow", settings(), frame(WINDOW, payload=b"\x7f\xff\xff\xff") * 2, FLOW),
    ("GOAWAY on a stream", settings(), frame(GOAWAY, 0, 1, b"\0" * 8), PROTOCOL),
    ("HPACK index out of range", settings(), frame(HEADERS, 5, 1, b"\xff\xff\xff\xff\x0f"), COMPRESSION),
    ("HPACK bad Huffman", settings(), frame(HEADERS, 5, 1, b"\x82\x00\x81\xff\x81\xff"), COMPRESSION),
    ("HPACK table size past the limit", settings(), frame(HEADERS, 5, 1, b"\x3f\xe1\xff\x03\x82"), COMPRESSION),
    ("padding longer than the frame", settings(), frame(HEADERS, 5 | PADDED, 1, b"\xff\x82"), PROTOCOL),
]


def test_connection_errors(port):
    faults = []
    for name, first, data, expected in CONNECTION_ERRORS:
        with Client(port, first if first is not None else b"") as c:
            c.send(data)
            try:
                code = c.goaway()
                if code != expected:
                    faults.append(f"{name}: GOAWAY {code}, not {expected}")
            except Exception as e:
                faults.append(f"{name}: {e!r}")
    assert not faults, "\n".join(faults)


STREAM_ERRORS = [
    ("connection-specific field", [("connection", "close")]),
    ("transfer-encoding", [("transfer-encoding", "chunked")]),
    ("te other than trailers", [("te", "gzip")]),
    ("upper-case name", [("X-Upper", "a")]),
    ("pseudo field behind others", [("a", "b"), (":path", "/x")]),
    ("unknown pseudo field", [(":what", "x")]),
    ("two paths", [(":path", "/x")]),
    ("NUL in value", [("a", "b\0c")]),
    ("LF in value", [("a", "b\nc")]),
    ("blank in name", [("a b", "c")]),
    ("another host", [("host", "other")]),
    ("two lengths", [("content-length", "0"), ("content-length", "0")]),
    ("length of a body that is not there", [("content-length", "5")]),
]


def test_malformed_requests_end_their_stream_only(port):
    faults = []
    with Client(port) as c:
        c.encoder.huffman = False
        stream = 1
        for name, fields in STREAM_ERRORS:
            c.request(stream, *fields)
            headers, rest = c.response(stream)
            if not (headers is None and rest == PROTOCOL) and not (headers and headers[":status"] == "400"):
                faults.append(f"{name}: {headers} {rest!r}")
            stream += 2
        c.request(stream)
        assert c.response(stream)[0][":status"] == "200"
    assert not faults, "\n".join(faults)


def rest_of(client, stream):
    """What comes on the stream until the answer to a PING."""
    client.send(frame(PING, payload=b"whatever"))
    kinds = []
    for kind, flags, on, _ in client.frames():
        if kind == PING and flags & ACK:
            return kinds
        kinds += [kind] if on == stream else []


def test_an_answer_before_a_small_body_is_no_reset(port):
    """Some clients take a reset that overtakes their body for a failure."""
    with Client(port) as c:
        for stream in (1, 3, 5):
            c.request(stream, ("x-request-timeout-ms", "soon"), ("content-length", "2"), flags=0,
                      method="POST", path="/v1/query/echo")
            headers, _ = c.response(stream)
            assert headers[":status"] == "400"
            assert rest_of(c, stream) == []
            c.send(frame(DATA, END_STREAM, stream, b"{}"))
            assert rest_of(c, stream) == []
        # one that never comes, and one that is not worth waiting for
        for stream, length in ((7, "2"), (9, str(1 << 19))):
            c.request(stream, ("x-request-timeout-ms", "soon"), ("content-length", length), flags=0,
                      method="POST", path="/v1/query/echo")
            headers, _ = c.response(stream)
            assert headers[":status"] == "400"
            assert c.response(stream) == (None, 0)


def test_longer_body_than_said(port):
    with Client(port) as c:
        c.request(1, ("content-type", "application/json"), ("content-length", "1"), method="POST",
                  path="/v1/auth/signin", flags=0)
        c.send(frame(DATA, END_STREAM, 1, b"{}"))
        assert c.response(1) == (None, PROTOCOL)


def test_limits(port):
    with Client(port) as c:
        c.request(1, *[("a", "b")] * 120)
        assert c.response(1)[0][":status"] == "431"
        c.request(3, ("a", "x" * 9000), ("b", "x" * 9000))
        assert c.response(3)[0][":status"] == "431"
        c.request(5, path="/" + "x" * 9000)
        assert c.response(5)[0][":status"] == "414"
        c.request(7, ("content-type", "application/json"), ("content-length", "9999999"), method="POST",
                  path="/v1/auth/signin", flags=0)
        headers, body = c.response(7)
        assert headers[":status"] == "413" and json.loads(body)["code"] == "body_too_large"


def test_body_that_grows_past_the_limit(port):
    with Client(port) as c:
        c.request(1, ("content-type", "application/json"), method="POST", path="/v1/auth/signin", flags=0)
        c.send(frame(DATA, 0, 1, b" " * 16384) * 80)
        headers, body = c.response(1)
        assert headers[":status"] == "413" and json.loads(body)["code"] == "body_too_large"
        # the rest is not wanted (RFC 9113, 8.1), and the connection goes on
        assert next(struct.unpack(">I", p)[0] for k, _, s, p in c.frames() if k == RST and s == 1) == 0
        c.request(3)
        assert c.response(3)[0][":status"] == "200"


FLOODS = [
    ("PING", frame(PING, payload=b"12345678")),
    ("SETTINGS", settings()),
    ("PRIORITY", frame(PRIORITY, 0, 1, b"\0\0\0\0\x10")),
    ("WINDOW_UPDATE", frame(WINDOW, 0, 0, b"\0\0\0\x01")),
    ("empty DATA", None),
    ("padding", None),
    ("rapid reset", None),
    ("CONTINUATION", None),
]


@pytest.mark.parametrize("name,data", FLOODS, ids=[f[0] for f in FLOODS])
def test_floods(port, name, data):
    with Client(port) as c:
        if name == "empty DATA":
            c.request(1, ("content-type", "application/json"), method="POST", path="/v1/auth/signin", flags=0)
            data = frame(DATA, 0, 1) * 50
        elif name == "padding":
            c.request(1, ("content-type", "application/json"), method="POST", path="/v1/auth/signin", flags=0)
            data = frame(DATA, PADDED, 1, b"\0")
        elif name == "rapid reset":
            for stream in range(1, 6001, 2):
                c.send(frame(HEADERS, 5, stream, c.block()) + frame(RST, 0, stream, b"\0\0\0\x08"))
            data = b""
        elif name == "CONTINUATION":
            c.send(frame(HEADERS, 1, 1, c.block()))
            data = frame(CONTINUATION, 0, 1, b"\x40\x01a\x01b") * 20
        for _ in range(500 if data else 0):
            c.send(data * 10)
        codes = [struct.unpack(">I", p[4:8])[0] for kind, _, _, p in c.frames() if kind == GOAWAY]
        # reset by the server while we still sent: then the GOAWAY may be lost on the way
        assert not codes or codes[-1] != 0


def test_streams_past_the_limit_are_refused(port):
    with Client(port) as c:
        for i in range(200):
            c.request(1 + 2 * i, ("content-type", "application/json"), method="POST", path="/v1/auth/signin",
                      flags=0)
        resets = [struct.unpack(">I", p)[0] for kind, _, _, p in take(c.frames(), 240) if kind == RST]
        assert resets and set(resets) <= {REFUSED, 0}


@pytest.mark.parametrize("why", ["malformed", "one too many"])
def test_refusals_that_nobody_reads(port, why):
    """A stream that is refused is over at once, but what says so is not gone before it is read."""
    with Client(port) as c:  # it never acknowledges SETTINGS
        block = b"\x82\x86\x84\x40\x01A\x01b"  # a name in capitals
        first = 1
        if why == "one too many":
            for i in range(128):
                c.request(1 + 2 * i, method="POST", path="/v1/auth/signin", flags=0)
            first, block = 257, c.block(method="POST", path="/v1/auth/signin")
        with pytest.raises(OSError):
            for stream in range(first, first + 4_000_000, 2000):  # 34 MB or more
                c.socket.sendall(b"".join(frame(HEADERS, 5, i, block) for i in range(stream, stream + 2000, 2)))


def take(frames, n):
    for i, f in enumerate(frames):
        yield f
        if i + 1 == n or f[0] == GOAWAY:
            return


def test_slow_clients(port):
    with socket.create_connection(("127.0.0.1", port), timeout=9) as s:  # never says anything
        while s.recv(4096):
            pass
    with Client(port) as c:  # never ends its header block
        c.send(frame(HEADERS, 0, 1, b"\x82"))
        assert c.goaway() in (CALM, PROTOCOL)
    with Client(port) as c:  # never ends its body
        c.request(1, ("content-type", "application/json"), method="POST", path="/v1/auth/signin", flags=0)
        headers, body = c.response(1)
        assert headers[":status"] == "408" and json.loads(body)["code"] == "request_timeout"


def test_goaway_on_drain(gateway):
    g = gateway()
    with Client(g.replicas[0].port("grpc")) as c:
        c.request(1)
        assert c.response(1)[0][":status"] == "200"
        g.replicas[0].process.signal(15)
        assert c.goaway() == 0
