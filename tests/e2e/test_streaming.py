"""Large bodies, both ways: whole, in bounded memory, and at the pace of the slower side, which costs nobody
else anything."""
import hashlib
import json
import socket
import subprocess
import threading
import time

import pytest

from harness import h2
from harness.paths import VARIANT
from harness.raw import Connection
from harness.wait import until

MIB = 1 << 20
BLOCK = bytes(range(256)) * 256  # 64 KiB
SIZE = 48 * MIB
# KiB that a worker may need for such a body, whatever its size; sanitizers hold on to freed memory
GROWTH = (8 if VARIANT == "release" else 512) * 1024


class StreamNode:
    """An HTTP node in the test's own process. The view type says what it does."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.go = threading.Event()    # "slow" reads from here on
        self.sent = self.got = 0
        self.broken = threading.Event()  # the gateway left
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def close(self):
        self.listener.close()
        self.go.set()

    def serve(self, s):
        with s, s.makefile("rb", buffering=65536) as f:
            try:
                while self.one(s, f):
                    pass
            except (BrokenPipeError, ConnectionResetError, ValueError):
                self.broken.set()

    def one(self, s, f):
        line = f.readline().split(b" ")
        if len(line) < 3:
            return False
        headers = {}
        while (field := f.readline().rstrip(b"\r\n")):
            name, value = field.split(b":", 1)
            headers[name.decode()] = value.strip().decode()
        view = line[1].decode().rsplit("/", 1)[1]
        return getattr(self, view)(s, f, headers)

    def line_end(self, f):
        if f.readline() != b"\r\n":
            raise ConnectionResetError

    def pieces(self, f, headers):
        if headers.get("transfer-encoding") == "chunked":
            while (n := int(f.readline(), 16)):  # ValueError at an end that is none
                yield f.read(n)
                self.line_end(f)
            self.line_end(f)
        else:
            left = int(headers["content-length"])
            while left:
                data = f.read1(min(left, 65536))
                if not data:
                    raise ConnectionResetError
                left -= len(data)
                yield data

    def answer(self, s, status, body, *headers):
        s.sendall(b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                  % (status, len(body)) + body)
        return True

    def digest(self, s, f, headers):
        h = hashlib.sha256()
        self.got = 0
        for piece in self.pieces(f, headers):
            h.update(piece)
            self.got += len(piece)
        return self.answer(s, 200, json.dumps({"n": self.got, "sha256": h.hexdigest(), "framing": headers.get(
            "content-length") or headers.get("transfer-encoding")}).encode())

    def ready(self, s, f, headers):
        return self.answer(s, 200, b"{}")

    def slow(self, s, f, headers):
        self.go.wait(60)
        return self.digest(s, f, headers)

    def refuse(self, s, f, headers):
        self.answer(s, 422, b'{"no":1}')
        return False

    def give(self, s, f, headers, end=True):
        list(self.pieces(f, headers))
        s.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: x/y\r\ncontent-length: %d\r\n\r\n" % SIZE)
        self.sent = 0
        while self.sent < (SIZE if end else SIZE // 2):
            s.sendall(BLOCK)
            self.sent += len(BLOCK)
        return end

    def endless(self, s, f, headers):
        list(self.pieces(f, headers))
        s.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: x/y\r\ncontent-length: %d\r\n\r\n" % (1 << 60))
        while True:
            s.sendall(BLOCK * 16)

    def die(self, s, f, headers):
        return self.give(s, f, headers, end=False)

    def chunks(self, s, f, headers):
        list(self.pieces(f, headers))
        s.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(SIZE // len(BLOCK)):
            s.sendall(b"%x\r\n" % len(BLOCK) + BLOCK + b"\r\n")
        s.sendall(b"0\r\n\r\n")
        return True

    def until_close(self, s, f, headers):
        list(self.pieces(f, headers))
        s.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(SIZE // len(BLOCK)):
            s.sendall(BLOCK)
        return False

    def echo(self, s, f, headers):
        """Answers while it still reads."""
        s.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for piece in self.pieces(f, headers):
            s.sendall(b"%x\r\n" % len(piece) + piece + b"\r\n")
        s.sendall(b"0\r\n\r\n")
        return True


SHA = hashlib.sha256()
for _ in range(SIZE // len(BLOCK)):
    SHA.update(BLOCK)
SHA = SHA.hexdigest()


class Streaming:
    def __init__(self, gateway, config):
        self.node = StreamNode()
        self.gw = gateway(config={"limits.body": 0, "workers": 1, **config})
        self.token = self.gw.signin()["access_token"]
        self.gw.admin("POST", "/admin/tenants", self.token, {"id": "acme", "name": "Acme"})
        self.gw.route(self.token, projection_placement={"acme": "p"}, projection_shards={"p": [self.node.url]})
        self.replica = self.gw.replicas[0]

    def rss(self):
        with open(f"/proc/{self.replica.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))

    def head(self, view, *fields):
        lines = [f"POST /v1/query/{view} HTTP/1.1", "Host: h", f"Authorization: Bearer {self.token}",
                 "X-Tenant-Id: acme", "Content-Type: application/json", *fields]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def ask(self, c, view, body=b"{}"):
        c.send(self.head(view, f"Content-Length: {len(body)}") + body)

    def fast(self):
        """Others are not held up."""
        began = time.monotonic()
        with Connection(self.replica.port()) as c:
            c.send(self.head("digest", "Content-Length: 2") + b"{}")
            assert c.response()[0] == 200
        return time.monotonic() - began


@pytest.fixture
def streaming(gateway):
    made = []

    def make(**config):
        made.append(Streaming(gateway, config))
        return made[-1]
    yield make
    for s in made:
        s.node.close()


def upload(c, chunked):
    for _ in range(SIZE // len(BLOCK)):
        c.send(b"%x\r\n" % len(BLOCK) + BLOCK + b"\r\n" if chunked else BLOCK)
    if chunked:
        c.send(b"0\r\n\r\n")


def read_head(c):
    while b"\r\n\r\n" not in c.buffer:
        c.fill()
    head, c.buffer = c.buffer.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    return int(lines[0].split(" ")[1]), {k.lower(): v.strip() for k, v in (x.split(":", 1) for x in lines[1:])}


def download(c):
    """(status, headers, bytes, digest) without keeping the body."""
    status, headers = read_head(c)
    h, n = hashlib.sha256(), 0
    if headers.get("transfer-encoding") == "chunked":
        while (size := int(c.line(), 16)):
            data = c.take(size + 2)
            h.update(data[:-2])
            n += size
        assert c.line() == b""
    else:
        left = int(headers["content-length"])
        while left:
            if not c.buffer:
                c.fill()
            h.update(c.buffer[:left])
            n += len(c.buffer[:left])
            left, c.buffer = left - len(c.buffer[:left]), c.buffer[left:]
    return status, headers, n, h.hexdigest()


@pytest.mark.parametrize("chunked", [False, True])
def test_uploads(streaming, chunked):
    s = streaming()
    s.fast()
    before = s.rss()
    with Connection(s.replica.port(), timeout=60) as c:
        for _ in range(2):  # and the connection goes on
            c.send(s.head("digest", "Transfer-Encoding: chunked" if chunked else f"Content-Length: {SIZE}"))
            upload(c, chunked)
            status, _, body = c.response()
            assert status == 200
            assert json.loads(body) == {"n": SIZE, "sha256": SHA, "framing": "chunked" if chunked else str(SIZE)}
    assert s.rss() - before < GROWTH
    until(lambda: sum(x.get("bytes_in") == SIZE for x in s.replica.log()) == 2, what="two lines in the access log")


@pytest.mark.parametrize("view", ["give", "chunks", "until_close"])
def test_downloads(streaming, view):
    s = streaming()
    s.fast()
    before = s.rss()
    with Connection(s.replica.port(), timeout=60) as c:
        for _ in range(2):
            s.ask(c, view)
            status, headers, n, digest = download(c)
            assert (status, n, digest) == (200, SIZE, SHA)
            assert ("content-length" in headers) == (view == "give")
    assert s.rss() - before < GROWTH


def test_both_at_once(streaming):
    s = streaming()
    before = s.rss()
    with Connection(s.replica.port(), timeout=60) as c:
        c.send(s.head("echo", f"Content-Length: {SIZE}"))
        t = threading.Thread(target=upload, args=(c, False))
        t.start()
        status, _, n, digest = download(c)
        t.join()
        assert (status, n, digest) == (200, SIZE, SHA)
    assert s.rss() - before < GROWTH


def test_http_1_0_clients_read_to_the_end(streaming):
    s = streaming()
    head = s.head("chunks", "Content-Length: 2").replace(b"HTTP/1.1", b"HTTP/1.0")
    head, _, body = s.replica.raw(head + b"{}", timeout=60).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head and b"connection: close" in head
    assert hashlib.sha256(body).hexdigest() == SHA


def settled(value):
    """The value when it has stopped to change."""
    last = [None, 0]

    def look():
        now = value()
        last[:] = [now, last[1] + 1 if now == last[0] else 0]
        return last[1] > 20
    until(look, what="to come to a rest")
    return last[0]


def test_slow_reader(streaming):
    s = streaming()
    s.fast()
    before = s.rss()
    with Connection(s.replica.port(), timeout=60) as c:
        s.ask(c, "give")
        until(lambda: s.node.sent > 0, what="the node to send")
        assert settled(lambda: s.node.sent) < SIZE // 2  # it waits for the client
        assert s.rss() - before < GROWTH and s.fast() < 20
        status, _, n, digest = download(c)
        assert (status, n, digest) == (200, SIZE, SHA)


def test_slow_node(streaming):
    s = streaming()
    s.fast()
    before, sent = s.rss(), [0]
    with Connection(s.replica.port(), timeout=60) as c:
        c.send(s.head("slow", f"Content-Length: {SIZE}"))

        def run():
            for _ in range(SIZE // len(BLOCK)):
                c.send(BLOCK)
                sent[0] += len(BLOCK)
        t = threading.Thread(target=run)
        t.start()
        until(lambda: sent[0] > 0, what="the client to send")
        assert settled(lambda: sent[0]) < SIZE // 2  # it waits for the node
        assert s.rss() - before < GROWTH and s.fast() < 20
        s.node.go.set()
        t.join()
        status, _, body = c.response()
        assert status == 200 and json.loads(body)["sha256"] == SHA


def test_a_fast_pair_leaves_others_their_turn(streaming):
    """A node that always has more and a client that always takes it, on the worker of all."""
    s, over = streaming(), threading.Event()

    def take():
        space = bytearray(MIB)
        with Connection(s.replica.port()) as c:
            s.ask(c, "endless")
            while not over.is_set() and c.socket.recv_into(space):
                pass

    takers = [threading.Thread(target=take) for _ in range(2)]
    for t in takers:
        t.start()
    try:
        assert max(s.fast() for _ in range(40)) < 2
    finally:
        over.set()
        for t in takers:
            t.join()


def test_reader_that_never_reads_is_closed(streaming):
    s = streaming(**{"timeouts.body": "500ms"})
    with Connection(s.replica.port(), timeout=60) as c:
        s.ask(c, "give")
        assert s.node.broken.wait(20)


def test_limit_in_the_middle(streaming):
    s = streaming(**{"limits.body": "1MiB"})
    with Connection(s.replica.port()) as c:
        c.send(s.head("digest", "Transfer-Encoding: chunked"))
        try:
            upload(c, True)
        except (BrokenPipeError, ConnectionResetError):
            pass
        status, headers, body = c.response()
        assert (status, json.loads(body)["code"], headers["connection"]) == (413, "body_too_large", "close")
    assert s.node.broken.wait(20)


def test_bad_chunk_in_the_middle(streaming):
    s = streaming()
    with Connection(s.replica.port()) as c:
        c.send(s.head("digest", "Transfer-Encoding: chunked") + (b"10000\r\n" + BLOCK + b"\r\n") * 3)
        until(lambda: s.node.got > 0, what="the node to read")
        c.send(b"x\r\n")
        status, headers, body = c.response()
        assert (status, json.loads(body)["code"], headers["connection"]) == (400, "bad_request", "close")
    assert s.node.broken.wait(20)


def test_body_that_stops_to_come(streaming):
    s = streaming(**{"timeouts.body": "500ms"})
    with Connection(s.replica.port()) as c:
        c.send(s.head("digest", f"Content-Length: {SIZE}") + BLOCK * 3)
        status, _, body = c.response()
        assert (status, json.loads(body)["code"]) == (408, "request_timeout")


def test_node_that_refuses_early(streaming):
    s = streaming()
    with Connection(s.replica.port(), timeout=60) as c:
        c.send(s.head("refuse", f"Content-Length: {SIZE}") + BLOCK * 2)
        status, _, body = c.response()
        assert (status, body) == (422, b'{"no":1}')


def test_node_that_dies_in_its_answer(streaming):
    s = streaming()
    with Connection(s.replica.port(), timeout=60) as c:
        s.ask(c, "die")
        with pytest.raises((EOFError, ConnectionResetError)):
            download(c)
    assert s.fast() < 20


def test_client_that_leaves(streaming):
    s = streaming()
    with Connection(s.replica.port()) as c:
        s.ask(c, "give")
        read_head(c)
    assert s.node.broken.wait(20)
    s.node.broken.clear()
    with Connection(s.replica.port()) as c:
        c.send(s.head("digest", f"Content-Length: {SIZE}") + BLOCK * 4)
        until(lambda: s.node.got > 0, what="the node to read")
    assert s.node.broken.wait(20)


def test_refused_before_it_is_read(streaming):
    s = streaming()
    with Connection(s.replica.port()) as c:
        c.send(s.head("digest", f"Content-Length: {SIZE}").replace(b"acme", b"none") + BLOCK * 2)
        status, headers, _ = c.response()
        assert status in (403, 503) and headers["connection"] == "close"


def test_grpc_nodes_get_it_whole(placed):
    text = "{" + " " * 300_000 + "}"
    r = placed.query("orders", tenant="beta", data=text, headers={"content-type": "application/json"})
    assert r.status_code == 200 and r.json()["view_type"] == "orders"


def curl(s, view, *args, **kw):
    return subprocess.run(
        ["curl", "-sS", "--http2-prior-knowledge", "-H", f"authorization: Bearer {s.token}",
         "-H", "x-tenant-id: acme", "-H", "content-type: application/json", "-H", "expect:", *args,
         f"http://{s.replica.grpc}/v1/query/{view}"], capture_output=True, timeout=60, **kw)


def test_http2(streaming, tmp_path):
    s = streaming()
    s.fast()
    path = tmp_path / "body"
    path.write_bytes(BLOCK * (SIZE // len(BLOCK)))
    before = s.rss()
    for args in (["-T", str(path), "-X", "POST"], ["-T", "-", "-X", "POST"]):  # with and without a length
        p = curl(s, "digest", *args, stdin=open(path, "rb"))
        assert p.returncode == 0, p.stderr
        assert json.loads(p.stdout)["sha256"] == SHA
    for view in ("give", "chunks", "until_close"):
        p = curl(s, view, "-d", "{}")
        assert p.returncode == 0 and hashlib.sha256(p.stdout).hexdigest() == SHA, p.stderr
    p = curl(s, "echo", "-T", str(path), "-X", "POST")
    assert p.returncode == 0 and hashlib.sha256(p.stdout).hexdigest() == SHA, p.stderr
    assert s.rss() - before < GROWTH
    p = curl(s, "die", "-d", "{}")
    assert p.returncode != 0
    p = curl(s, "give", "-d", "{}", "--limit-rate", "20M")
    assert p.returncode == 0 and len(p.stdout) == SIZE


def test_http2_limit_in_the_middle(streaming):
    s = streaming(**{"limits.body": "150KiB"})
    with h2.Client(int(s.replica.grpc.rsplit(":", 1)[1])) as c:
        next(f for f in c.frames() if f[0] == h2.SETTINGS)  # the stream's window is larger from then on
        c.request(1, ("authorization", f"Bearer {s.token}"), ("x-tenant-id", "acme"),
                  ("content-type", "application/json"), flags=0, method="POST", path="/v1/query/digest")
        for n in (5, 7):
            c.send(h2.frame(h2.DATA, 0, 1, b"x" * 16384) * n)
            until(lambda: s.node.got > 0, what="the node to read")
        headers, body = c.response(1)
        assert headers, body
        assert (headers[":status"], json.loads(body)["code"]) == ("413", "body_too_large")
    assert s.node.broken.wait(20)
