"""TLS and mTLS to nodes: whom the gateway trusts, whom it refuses, and what it shows of itself."""
import http.server
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from harness.server import Server
from harness.wait import until


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    size = 20

    def do_POST(self):
        length = int(self.headers["content-length"])
        self.rfile.read(length)
        peer = self.connection.getpeercert()
        self.server.peers.append(peer and peer["subject"][0][0][1])
        body = b'"%s"' % (b"x" * (self.size - 2))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.close_connection = self.path.endswith(("/close", "/cut"))
        if not self.close_connection:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if self.path.endswith("/close"):
            self.connection.unwrap()  # close_notify; without it, "cut", the body may lack its end

    def log_message(self, *args):
        pass


class HttpsNode(Server):
    def __init__(self, pair, client_ca=None, version=None):
        super().__init__(("127.0.0.1", 0), Answer)
        self.peers, self.connections = [], 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*pair)
        if client_ca:
            self.context.load_verify_locations(client_ca)
            self.context.verify_mode = ssl.CERT_REQUIRED
        if version:
            self.context.minimum_version = self.context.maximum_version = version
        self.thread = threading.Thread(target=self.serve_forever, daemon=True)
        self.thread.start()

    def get_request(self):
        s, address = super().get_request()
        self.connections += 1
        return self.context.wrap_socket(s, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request, address):
        pass  # refused handshakes are what some tests want

    def stop(self):
        self.shutdown()
        self.thread.join()
        self.server_close()


@pytest.fixture
def https(request):
    def start(*args, **kw):
        node = HttpsNode(*args, **kw)
        request.addfinalizer(node.stop)
        return node
    return start


class Setup:
    def __init__(self, gateway, config):
        self.gw = gateway(config={"upstream.health.interval": "0s", **config})  # tests count connections
        self.token = self.gw.signin()["access_token"]
        self.gw.admin("POST", "/admin/tenants", self.token, {"id": "acme", "name": "acme"})

    def route(self, *urls):
        self.gw.route(self.token, projection_placement={"acme": "p"}, projection_shards={"p": list(urls)})

    def query(self, view="x", **kw):
        return self.gw.call("POST", f"/v1/query/{view}", self.token, "acme", json={}, **kw)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_https(gateway, authority, https, version):
    node = https(authority.issue("node", "DNS:localhost", "IP:127.0.0.1"), version=version)
    s = Setup(gateway, {"upstream.ca": str(authority.cert), "workers": 1})
    for host in ("localhost", "127.0.0.1"):
        s.route(f"https://{host}:{node.server_address[1]}")
        before = node.connections
        for _ in range(5):
            r = s.query()
            assert r.status_code == 200 and len(r.content) == 20, r.text
        assert node.connections == before + 1, "kept alive"
        assert len(s.query("close").content) == 20, "the end of the body is the close_notify"
        assert s.query("cut").status_code == 502


def test_large_bodies(gateway, authority, https, monkeypatch):
    monkeypatch.setattr(Answer, "size", 3_000_000)
    node = https(authority.issue("node", "IP:127.0.0.1"))
    s = Setup(gateway, {"upstream.ca": str(authority.cert)})
    s.route(f"https://127.0.0.1:{node.server_address[1]}")
    for view in ("x", "close", "x"):
        r = s.gw.call("POST", f"/v1/query/{view}", s.token, "acme", json={"fill": "y" * 900_000})
        assert r.status_code == 200 and len(r.content) == 3_000_000


def test_whom_it_refuses(gateway, authority, stranger, https):
    s = Setup(gateway, {"upstream.ca": str(authority.cert)})
    for why, pair, host in (
        ("another name", authority.issue("name", "DNS:elsewhere"), "localhost"),
        ("another address", authority.issue("address", "IP:127.0.0.2"), "127.0.0.1"),
        ("a name where an address is dialled", authority.issue("dns", "DNS:localhost"), "127.0.0.1"),
        ("another authority", stranger.issue("stranger", "IP:127.0.0.1"), "127.0.0.1"),
    ):
        node = https(pair)
        s.route(f"https://{host}:{node.server_address[1]}")
        r = s.query()
        assert (r.status_code, r.json()["code"]) == (502, "upstream_unavailable"), why
        assert not node.peers, why


def test_mutual(gateway, authority, https):
    node = https(authority.issue("node", "IP:127.0.0.1"), client_ca=authority.cert)
    cert, key = authority.issue("gateway", "DNS:gateway")
    s = Setup(gateway, {"upstream.ca": str(authority.cert), "upstream.cert": str(cert), "upstream.key": str(key)})
    s.route(f"https://127.0.0.1:{node.server_address[1]}")
    assert s.query().status_code == 200
    assert node.peers == ["gateway"]
    bare = Setup(gateway, {"upstream.ca": str(authority.cert)})
    bare.route(f"https://127.0.0.1:{node.server_address[1]}")
    assert bare.query().status_code == 502
    assert len(node.peers) == 1


def test_health_checks_show_and_want_the_same(gateway, authority, stranger, https):
    """Mutual TLS for checks as for calls; another authority takes the node out, at the next reload."""
    node = https(authority.issue("node", "IP:127.0.0.1"), client_ca=authority.cert)
    cert, key = authority.issue("gateway", "DNS:gateway")
    s = Setup(gateway, {"upstream.ca": str(authority.cert), "upstream.cert": str(cert), "upstream.key": str(key),
                        "upstream.health.interval": "100ms"})
    s.route(f"https://127.0.0.1:{node.server_address[1]}")
    nodes = lambda: s.gw.admin("GET", "/admin/status", s.token)["nodes"]
    until(lambda: nodes()["up"] == 1, what="the node to be up")
    assert not node.peers, "checks are not calls"
    s.gw.replicas[0].reload(upstream__ca=str(stranger.cert))
    until(lambda: nodes()["down"] == 1, what="the node not to be believed any more")
    assert nodes()["unwell"][0]["reason"] == "upstream_unavailable"
    s.gw.replicas[0].reload(upstream__ca=str(authority.cert))
    until(lambda: nodes()["up"] == 1, what="the node to be up again")
    assert s.query().status_code == 200


def connecting(port):
    """How many sockets of this machine have sent a SYN to the port that nobody has answered."""
    with open("/proc/net/tcp") as f:
        return sum(line.split()[2].endswith(f":{port:04X}") and line.split()[3] == "02" for line in f)


def test_certificates_change_while_a_node_takes_its_time(gateway, authority):
    """What a connection was begun with holds for it, though it is no longer what is configured."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("node", "IP:127.0.0.1"))
    with socket.socket() as node:
        node.bind(("127.0.0.1", 0))
        node.listen(0)
        port = node.getsockname()[1]
        crowd = [socket.socket() for _ in range(4)]  # in its queue: who comes now has to wait
        for c in crowd:
            c.setblocking(False)
            c.connect_ex(("127.0.0.1", port))
        s = Setup(gateway, {"upstream.ca": str(authority.cert), "upstream.connect_timeout": "20s"})
        s.route(f"https://127.0.0.1:{port}")
        replica, before = s.gw.replicas[0], connecting(port)
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(s.query)
            until(lambda: connecting(port) > before, what="the gateway to dial")
            replica.reload()
            until(lambda: any(e.get("msg") == "reloaded" for e in replica.log()), what="the reload")
            assert s.gw.call("GET", "/v1/me", s.token).status_code == 200
            for c in crowd:
                c.close()
            node.settimeout(20)
            request = b""
            while not request:  # the crowd comes first, and says nothing
                plain, _ = node.accept()
                try:
                    caller = context.wrap_socket(plain, server_side=True)
                    request = caller.recv(65536)
                    caller.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
                    caller.close()
                except OSError:
                    plain.close()
            assert answer.result().status_code == 200


def test_grpcs(gateway, authority, protos, request):
    cert, key = authority.issue("node", "DNS:localhost")
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())])
    server = grpc.server(ThreadPoolExecutor(4))

    def execute(message, context):
        return protos.query.ExecuteQueryResponse(result=b'{"view":"%s"}' % message.view_type.encode())

    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(
        "projection.gateway.v1.QueryService", {"ExecuteQuery": grpc.unary_unary_rpc_method_handler(
            execute, protos.query.ExecuteQueryRequest.FromString,
            protos.query.ExecuteQueryResponse.SerializeToString)})])
    port = server.add_secure_port("localhost:0", credentials)
    server.start()
    request.addfinalizer(lambda: server.stop(0).wait())
    s = Setup(gateway, {"upstream.ca": str(authority.cert)})
    s.route(f"grpcs://localhost:{port}")
    for i in range(20):
        r = s.query(f"v{i}")
        assert r.status_code == 200 and r.json() == {"view": f"v{i}"}, r.text
    s.route(f"grpcs://127.0.0.1:{port}")
    assert s.query().status_code == 502


def test_grpcs_needs_h2(gateway, authority, https):
    node = https(authority.issue("node", "IP:127.0.0.1"))
    s = Setup(gateway, {"upstream.ca": str(authority.cert)})
    s.route(f"grpcs://127.0.0.1:{node.server_address[1]}")
    assert s.query().status_code == 502
