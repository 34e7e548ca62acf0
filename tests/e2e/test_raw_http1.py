"""HTTP/1.1 as bytes, against the running gateway: what is malformed gets 400 (or its own status) with the
envelope and a closed connection; nothing hangs, and nothing behind it is taken for a request."""
import json
import socket
import threading

import pytest

from harness.raw import Connection

HOST = b"Host: h\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"

# name, bytes, status, code of the envelope
BAD = [
    ("length and chunked", b"POST /v1/auth/signin HTTP/1.1\r\n" + HOST +
     b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "bad_request"),
    ("two lengths", b"POST /v1/auth/signin HTTP/1.1\r\n" + HOST +
     b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}", 400, "bad_request"),
    ("two hosts", b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "bad_request"),
    ("no host", b"GET /health HTTP/1.1\r\n\r\n", 400, "bad_request"),
    ("blank before colon", b"POST /v1/auth/signin HTTP/1.1\r\n" + HOST + b"Content-Length : 4\r\n\r\n",
     400, "bad_request"),
    ("other coding", b"POST /v1/auth/signin HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n",
     400, "bad_request"),
    ("fold", b"GET /health HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n\r\n", 400, "bad_request"),
    ("fold that glues", b"POST /health HTTP/1.1\r\n" + HOST + b"Transfer-Encoding:\r\n chunked\r\n\r\n",
     400, "bad_request"),
    ("NUL", b"GET /health HTTP/1.1\r\n" + HOST + b"A: b\0c\r\n\r\n", 400, "bad_request"),
    ("bare LF", b"GET /health HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", 400, "bad_request"),
    ("bare CR", b"GET /health HTTP/1.1\r\n" + HOST + b"A: b\rc\r\n\r\n", 400, "bad_request"),
    ("control", b"GET /health HTTP/1.1\r\n" + HOST + b"A: \x02\r\n\r\n", 400, "bad_request"),
    ("name that is no token", b"GET /health HTTP/1.1\r\n" + HOST + b"A(b): c\r\n\r\n", 400, "bad_request"),
    ("%00", b"GET /health%00 HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_request"),
    ("%2e%2e", b"GET /v1/%2e%2e/health HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_request"),
    ("encoded slash is no separator", b"GET /v1%2Fme HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n",
     404, "not_found"),
    ("TRACE", b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", 501, "unimplemented"),
    ("CONNECT", b"CONNECT h:443 HTTP/1.1\r\n" + HOST + b"\r\n", 501, "unimplemented"),
    ("body too large by its length", b"POST /v1/auth/signin HTTP/1.1\r\n" + HOST +
     b"Content-Type: application/json\r\nContent-Length: 99999999\r\n\r\n", 413, "body_too_large"),
    ("body too large in chunks", b"POST /v1/auth/signin HTTP/1.1\r\n" + HOST +
     b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" +
     (b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 80, 413, "body_too_large"),
    ("target too long", b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, "uri_too_long"),
    ("head too large", b"GET /health HTTP/1.1\r\n" + HOST + b"A: " + b"x" * 16400 + b"\r\n\r\n",
     431, "headers_too_large"),
    ("head much too large", b"GET /health HTTP/1.1\r\n" + HOST + b"A: " + b"x" * 100000 + b"\r\n\r\n",
     431, "headers_too_large"),
    ("chunk size that is none", b"POST /v1/auth/signin HTTP/1.1\r\n" + HOST +
     b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "bad_request"),
    ("HTTP/2.0", b"GET /health HTTP/2.0\r\n" + HOST + b"\r\n", 505, "http_version"),
    ("HTTP/0.9", b"GET /health\r\n", 400, "bad_request"),
]


def parse(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
    return int(lines[0].split(" ")[1]), headers, body


def envelope(headers, body):
    assert headers["content-type"] == "application/json"
    e = json.loads(body[:int(headers["content-length"])])
    assert set(e) == {"code", "error", "details", "request_id"}
    assert e["request_id"] == headers["x-correlation-id"]
    return e


@pytest.fixture
def replica(gateway):
    return gateway().replicas[0]


def test_malformed_requests(replica):
    faults = []
    for listener in ("http", "admin"):
        for name, data, status, code in BAD:
            answer = replica.raw(data + SMUGGLED, listener=listener)
            try:
                got, headers, body = parse(answer)
                assert got == status
                assert answer.count(b"x-correlation-id") <= 1 and b"/smuggled" not in answer
                assert envelope(headers, body)["code"] == code
                assert headers["connection"] == "close"
            except Exception as e:
                faults.append(f"{listener}, {name}: {e!r}: {answer[:400]!r}")
    assert not faults, "\n".join(faults)
    log = json.dumps(replica.log())
    assert "/smuggled" not in log


def test_well_formed_requests_of_all_kinds(replica):
    with Connection(replica.port()) as c:
        for data in (b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n",
                     b"\r\nGET http://h/health HTTP/1.1\r\nHost: h\r\n\r\n",
                     b"GET /health HTTP/1.1\r\nHost: [::1]:80\r\nX-Empty:\r\nX-Tab:\ta\t\r\n\r\n"):
            c.send(data)
            status, headers, body = c.response()
            assert status == 200 and json.loads(body)["status"] == "ok"
            assert headers["x-correlation-id"] and headers["date"]
        c.send(b"HEAD /health HTTP/1.1\r\nHost: h\r\n\r\n")
        while b"\r\n\r\n" not in c.buffer:
            c.fill()
        assert b"content-length: " in c.buffer.lower() and c.buffer.endswith(b"\r\n\r\n")


def test_pipelined_requests_are_answered_in_order(replica):
    with Connection(replica.port()) as c:
        c.send(b"".join(b"GET /health HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: n%d\r\n\r\n" % i for i in range(50)))
        assert [c.response()[1]["x-correlation-id"] for _ in range(50)] == [f"n{i}" for i in range(50)]


def test_pipelined_requests_behind_one_on_the_control_lane(replica):
    with Connection(replica.port()) as c:
        body = b'{"email":"nobody@example.test","password":"wrong wrong wrong"}'
        c.send(b"POST /v1/auth/signin HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
               b"Content-Length: %d\r\n\r\n" % len(body) + body + b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
        assert c.response()[0] == 401
        assert c.response()[0] == 200


def test_expect_100_continue(replica):
    with Connection(replica.port()) as c:
        c.send(b"POST /v1/auth/signin HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
               b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert c.response()[0] == 100
        c.send(b"{}")
        assert c.response()[0] == 400


def test_half_closed_client_is_answered(replica):
    answer = replica.raw(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n", shut=True)
    assert parse(answer)[0] == 200


def test_client_that_leaves_while_its_request_is_on_the_control_lane(replica):
    body = b'{"email":"nobody@example.test","password":"wrong wrong wrong"}'
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", replica.port())) as s:
            s.sendall(b"POST /v1/auth/signin HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                      b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert parse(replica.raw(b"GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"))[0] == 200


def test_slow_clients(gateway):
    replica = gateway(config={"timeouts.header": "300ms", "timeouts.body": "300ms"}).replicas[0]
    for data in (b"GET /health HTTP/1.1\r\nHost: h\r\nA: b",
                 b"POST /v1/auth/signin HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                 b"Content-Length: 10\r\n\r\n{"):
        status, headers, body = parse(replica.raw(data))
        assert status == 408
        assert envelope(headers, body)["code"] == "request_timeout"
    assert replica.raw(b"") == b""
    assert replica.raw(b"GE") == b""


def test_many_slow_clients_do_not_slow_others(gateway):
    replica = gateway(config={"timeouts.header": "2s"}).replicas[0]
    slow = [socket.create_connection(("127.0.0.1", replica.port())) for _ in range(200)]
    for s in slow:
        s.sendall(b"GET /health HTTP/1.1\r\nA")
    stop = threading.Event()

    def drip():
        while not stop.wait(0.01):
            for s in slow:
                try:
                    s.send(b"a")
                except OSError:
                    pass
    t = threading.Thread(target=drip)
    t.start()
    try:
        with Connection(replica.port()) as c:
            for _ in range(200):
                c.send(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
                assert c.response()[0] == 200
        for s in slow:
            s.settimeout(10)
            got = b""
            try:
                while part := s.recv(4096):
                    got += part
            except ConnectionResetError:
                pass
            assert got == b"" or b" 408 " in got
    finally:
        stop.set()
        t.join()
        for s in slow:
            s.close()


@pytest.mark.parametrize("key", ["limits.per_address", "limits.connections"])
def test_too_many_connections(gateway, key):
    """The limit is the process's, whichever workers have the connections."""
    replica = gateway(config={key: 3, "workers": 4}).replicas[0]
    held = []
    try:
        for _ in range(3):
            held.append(Connection(replica.port()))
            held[-1].send(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
            assert held[-1].response()[0] == 200
        status, headers, body = parse(replica.raw(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n"))
        assert status == 503 and headers["retry-after"]
        assert envelope(headers, body)["code"] == "overloaded"
    finally:
        for c in held:
            c.socket.close()
