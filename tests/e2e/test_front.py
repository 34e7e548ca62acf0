"""What the gateway says of odd requests, to the caller and in its log."""
import concurrent.futures
import contextlib
import json
import re
import signal
import socket
import sqlite3
import subprocess
import threading

import pytest

from harness import h2, ports
from harness.paths import GATEWAYD, program
from harness.raw import raw
from harness.wait import until

TRACE = "-" + "a" * 32 + "-" + "b" * 16 + "-"


@pytest.fixture
def replica(gateway):
    return gateway(config={"workers": 1}).replicas[0]


def ask(replica, line, *headers, listener="http", body=b""):
    """Status and envelope of a request that is sent as it stands."""
    lines = [line, "Host: h", "Connection: close", *headers]
    answer = replica.raw("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body, listener=listener)
    head, _, body = answer.decode("latin-1").partition("\r\n\r\n")
    return int(head.split(" ")[1]), head.lower(), body


@pytest.mark.parametrize("line,headers,reason", [
    ("GET /health HTTP/1.1", ["A : b"], "a blank stands before the colon of a header"),
    ("GET /health HTTP/1.1", ["A: b", " c"], "folded"),
    ("GET /health HTTP/1.1", ["A: b\nC: d"], "bare LF"),
    ("GET /health HTTP/1.1", ["A: b\0"], "control character"),
    ("GET /health HTTP/1.1", ["nothing"], "no colon"),
    ("GET /health HTTP/1.1", ["Host: h"], "Host header is given twice"),
    ("GET  /health HTTP/1.1", [], "one blank between"),
    ("GET /health%0a HTTP/1.1", [], "percent-encoding"),
    ("GET /v1/../health HTTP/1.1", [], "segment"),
    ("GET /%ff HTTP/1.1", [], "UTF-8"),
    ("POST /v1/auth/signin HTTP/1.1", ["Content-Length: x"], "Content-Length is not a number"),
    ("POST /v1/auth/signin HTTP/1.1", ["Content-Length: 1", "Transfer-Encoding: chunked"], "exclude each other"),
    ("POST /v1/auth/signin HTTP/1.1", ["Content-Type: application/json", "Transfer-Encoding: chunked", "", "zz"],
     "chunked coding"),
])
def test_a_malformed_request_is_told_why(replica, line, headers, reason):
    status, _, body = ask(replica, line, *headers)
    assert (status, '"code":"bad_request"' in body) == (400, True), body
    assert reason in body


def test_query_parameters_are_given_once(replica):
    token = replica.gateway.signin()["access_token"]
    bearer = f"Authorization: Bearer {token}"
    for query, code, name in (("page_size=1&page_size=2", "invalid_parameter", "page_size"),
                              ("page_size=1&page_size=1", "invalid_parameter", "page_size"),
                              ("page_size=1&huh=1", "unknown_parameter", "huh"),
                              ("page_size=1&&", "unknown_parameter", "")):
        status, _, body = ask(replica, f"GET /admin/tenants?{query} HTTP/1.1", bearer, listener="admin")
        assert (status, f'"code":"{code}"' in body) == (400, True), body
        assert f'"details":{{"parameter":"{name}"}}' in body
    status, _, _ = ask(replica, "GET /admin/tenants?page_size=1 HTTP/1.1", bearer, listener="admin")
    assert status == 200


def test_expectations(replica):
    assert ask(replica, "GET /health HTTP/1.1", "Expect: 100-continue")[0] == 200
    for listener in ("http", "admin"):
        status, _, body = ask(replica, "GET /health HTTP/1.1", "Expect: foo", listener=listener)
        assert status == 417 and '"code":"expectation_failed"' in body
    assert ask(replica, "GET /health HTTP/1.0", "Expect: foo")[0] == 200, "HTTP/1.0 has no Expect"


def test_options_of_the_server(replica):
    status, head, body = ask(replica, "OPTIONS * HTTP/1.1")
    assert (status, body) == (204, "")
    assert "\r\nallow: get, head, post, " in head and "options" in head


def test_traceparent_of_a_version_that_is_not_known(replica):
    for sent, echoed in (("00" + TRACE + "01", "00" + TRACE + "01"),
                         ("01" + TRACE + "01-what-is-this", "00" + TRACE + "01"),
                         ("cc" + TRACE + "00", "00" + TRACE + "00"),
                         ("01" + TRACE + "ff", "00" + TRACE + "01")):
        _, head, _ = ask(replica, "GET /health HTTP/1.1", f"Traceparent: {sent}")
        assert f"\r\ntraceparent: {echoed}\r\n" in head + "\r\n", sent


def test_the_log_repeats_nothing_that_it_does_not_know(replica):
    secret = "gwk_0123456789abcdef_S3cr3t"
    for line in (f"GET /v1/auth/verify/{secret} HTTP/1.1", f"GET /{secret}?token={secret} HTTP/1.1",
                 f"GET /v1/me/{secret}/x HTTP/1.1", f"GET /../{secret} HTTP/1.1", f"DELETE /v1/me HTTP/1.1",
                 f"{secret} / HTTP/1.1", "OPTIONS * HTTP/1.1", f"GET /v1x{secret} HTTP/1.1"):
        ask(replica, line)
    lines = lambda: [(e["method"], e.get("path")) for e in replica.log() if e.get("msg") == "access" and
                     e["status"] in (204, 400, 404, 405, 501)]
    until(lambda: len(lines()) == 8, what="the access log")
    assert lines() == [("GET", "/v1/auth/verify/*"), ("GET", "/*"), ("GET", "/v1/me/*"), ("GET", "/*"),
                       ("DELETE", "/v1/me"), ("other", "/*"), ("OPTIONS", "/*"), ("GET", "/*")]
    assert "S3cr3t" not in replica.process.output()


def test_a_log_for_people(gateway):
    replica = gateway(config={"log.format": "text", "workers": 1}, start=False)
    replica.prepare()
    replica = replica.replicas[0]
    replica.write_config()
    replica.process.start()
    port = int(replica.process.expect(r'listening listener="http" address="127\.0\.0\.1:(\d+)"').group(1))
    assert b" 200 OK" in raw(port, b"GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    line = replica.process.expect(r'.* access op="health" .*').group(0)
    assert re.fullmatch(r'\d{4}-\S+Z info  access op="health" method="GET" path="/health" status=200 correlation_id="\S+" '
                        r'trace_id="\w{32}" source="127.0.0.1" http=1 duration_us=\d+ upstream_us=0 bytes_in=0 '
                        r'bytes_out=\d+', line), line
    assert "{" not in replica.process.output()


def test_an_address_is_one_gateways(tmp_path):
    """However many start at the same instant: one listens, the others say why they do not."""
    for _ in range(3):
        port, = ports.free()
        started = [subprocess.Popen([program(GATEWAYD), "-o", f"store.url=sqlite:{tmp_path}/{i}.db", "-o", "workers=3",
                                     "-o", f"listen.http=127.0.0.1:{port}", "-o", "listen.grpc=127.0.0.1:0",
                                     "-o", "listen.admin=127.0.0.1:0", "-o", f"mail.url=spool:{tmp_path}/mail",
                                     "-o", "auth.argon2.memory_kib=8192", "-o", "log.level=error"],
                                    stderr=subprocess.PIPE, cwd=tmp_path) for i in range(20)]
        until(lambda: sum(p.poll() is None for p in started) <= 1, what="all but one to give up")
        alive = [p for p in started if p.poll() is None]
        refused = [(p.returncode, p.stderr.read()) for p in started if p.poll() is not None]
        for p in alive:
            p.terminate()
            p.communicate(timeout=60)
        assert len(alive) == 1, refused
        assert all(code == 2 and b"Address already in use" in said for code, said in refused), refused


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MiB of its own."""
    path = tmp_path / "small"
    path.mkdir()
    p = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(path)], capture_output=True, text=True)
    if p.returncode != 0:
        pytest.skip(f"a file system can't be mounted here: {p.stderr.strip()}")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk_is_not_ready(gateway, small_disk):
    gw = gateway(config={"store.url": f"sqlite:{small_disk}/gateway.db", "workers": 1}, start=False)
    gw.store_url = f"sqlite:{small_disk}/gateway.db"
    gw.prepare()
    replica = gw.replicas[0].start()
    ready = lambda: gw.call("GET", "/ready")
    token = gw.signin()["access_token"]
    with open(small_disk / "filler", "wb", buffering=0) as f:
        with pytest.raises(OSError):
            while True:
                f.write(b"x" * 4096)
    until(lambda: ready().status_code == 503, what="/ready to fail")
    assert ready().json()["code"] == "not_ready" and ready().json()["details"] == {"check": "store"}
    assert gw.call("GET", "/health").status_code == 200 and gw.call("GET", "/v1/me", token=token).status_code == 200
    (small_disk / "filler").unlink()
    until(lambda: ready().status_code == 200, what="/ready to recover")
    said = [e["msg"] for e in replica.log() if e.get("level") in ("info", "error")]
    assert "the store can't be written: its disk is full, or fails" in said and "the store can be written again" in said


def test_a_stop_says_no_error_and_loses_no_record(gateway):
    """Refused mutations are noted behind the answer: those that came just before the end, too."""
    gw = gateway(config={"workers": 2})
    token = gw.signin()["access_token"]
    before = audited(gw)
    other = sqlite3.connect(gw.store_url.removeprefix("sqlite:"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # the records must wait
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda i: gw.call("DELETE", f"/admin/tenants/t{i}", token=token, listener="admin").status_code,
                              range(200)))
    gw.replicas[0].process.signal(15)
    until(lambda: not listens(gw.replicas[0].port()), what="the listeners to close")
    other.close()
    gw.replicas[0].process.wait()
    assert codes == [404] * 200
    assert audited(gw) == before + 200
    assert [e for e in gw.replicas[0].log() if e.get("level") in ("warn", "error")] == []


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    except OSError:
        return False


def audited(gw):
    with contextlib.closing(sqlite3.connect(gw.store_url.removeprefix("sqlite:"))) as db:
        return db.execute("SELECT count(*) FROM audit WHERE action = 'tenants.delete'").fetchone()[0]


class Streams(threading.Thread):
    """A client of HTTP/2 with ten requests under way at any time, until it is told of the end; a slow one reads little."""

    def __init__(self, replica, token, slow):
        super().__init__()
        self.client = h2.Client(replica.port("grpc"))
        self.token, self.slow = token, slow
        self.open, self.answered, self.last = set(), 0, None
        if slow:
            self.client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def ask(self):
        stream = 2 * (len(self.open) + self.answered) + 1
        self.open.add(stream)
        self.client.request(stream, ("authorization", f"Bearer {self.token}"), path="/v1/me")

    def run(self):
        for _ in range(10):
            self.ask()
        for kind, flags, stream, payload in self.client.frames():
            if self.slow:
                threading.Event().wait(0.001)
            if kind == h2.GOAWAY:
                self.last = int.from_bytes(payload[:4], "big")
            if kind == h2.DATA:
                self.client.send(h2.frame(h2.WINDOW, 0, 0, len(payload).to_bytes(4, "big")))
            if kind in (h2.DATA, h2.HEADERS) and flags & h2.END_STREAM:
                self.open.remove(stream)
                self.answered += 1
                if self.last is None:
                    self.ask()


class Requests(threading.Thread):
    """A client of HTTP/1.1 that asks and asks on one connection."""

    def __init__(self, replica, token):
        super().__init__()
        self.connection = replica.connect()
        self.request = f"GET /v1/me HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        self.answered, self.half = 0, b""

    def run(self):
        try:
            while True:
                self.connection.send(self.request)
                status, headers, body = self.connection.response()
                assert status == 200 and json.loads(body)
                self.answered += 1
                if headers.get("connection") == "close":
                    return
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self.half = self.connection.buffer


def test_a_drain_loses_no_answer(gateway):
    replica = gateway(config={"workers": 2}).replicas[0]
    token = replica.gateway.signin()["access_token"]
    streams = [Streams(replica, token, slow=i % 2) for i in range(6)]
    clients = [Requests(replica, token) for _ in range(6)]
    for t in streams + clients:
        t.start()
    until(lambda: all(t.answered > 20 for t in streams + clients), what="everybody to be answered")
    replica.stop()
    for t in streams + clients:
        t.join(60)
    for s in streams:
        assert s.last is not None, "the end is announced"
        assert not [x for x in s.open if x <= s.last], "what was taken is answered"
    assert not any(c.half for c in clients), "no half answer"


def test_a_drain_answers_whoever_had_connected(gateway):
    """Connections that the kernel has taken and the gateway has not, with their requests in them."""
    replica = gateway(config={"workers": 2}).replicas[0]
    replica.process.signal(signal.SIGSTOP)
    clients = [replica.connect() for _ in range(200)]
    streams = [h2.Client(replica.port("grpc")) for _ in range(50)]
    for c in clients:
        c.send(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
    for s in streams:
        s.request(1)
    replica.process.signal(signal.SIGTERM)
    replica.process.signal(signal.SIGCONT)
    for c in clients:
        status, headers, _ = c.response()
        assert status == 200
    for s in streams:
        headers, _ = s.response(1)
        assert headers[":status"] == "200"
    for c in clients + streams:
        c.socket.close()


def test_limits_are_reloaded(gateway):
    replica = gateway(config={"workers": 2}).replicas[0]
    post = lambda: ask(replica, "POST /v1/auth/signin HTTP/1.1", "Content-Type: application/json", "Content-Length: 3000",
                       "Origin: http://a.test", body=b"{}" + b" " * 2998)
    status, head, _ = post()
    assert status == 400 and "access-control" not in head
    replica.reload(limits__body=2000, cors__origins=["http://a.test"], access_log=False)
    until(lambda: post()[0] == 413, what="the new limit")
    _, head, _ = ask(replica, "GET /.well-known/jwks.json HTTP/1.1", "Origin: http://a.test")
    assert "access-control-allow-origin: http://a.test" in head
    assert ask(replica, "GET /health HTTP/1.1")[0] == 200
    replica.stop()
    said = [e["op"] for e in replica.log() if e.get("msg") == "access"]
    assert "auth.signin" in said and "health" not in said


def test_a_configuration_can_change_any_number_of_times(gateway):
    gw = gateway(config={"limits.body": 1000})
    replica = gw.replicas[0]
    for n in range(1, 101):
        replica.reload(limits__body=1000 + n)
        until(lambda n=n: sum(e.get("msg") == "reloaded" for e in replica.log()) == n, what=f"reload {n}")
    for size, status in ((1100, 400), (1101, 413)):
        r = gw.call("POST", "/v1/auth/signin", data=b"x" * size, headers={"content-type": "application/json"})
        assert r.status_code == status
