"""TLS on the listeners: versions, protocols, resumption, certificates of callers, reloading, bad clients."""
import contextlib
import concurrent.futures
import datetime
import hashlib
import json
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading

import grpc
import jwt
import pytest
import requests

from harness.gateway import wait_for
from harness.paths import GATEWAYD, program
from harness.wait import until
from test_streaming import BLOCK, MIB, SHA, SIZE, StreamNode

LISTENERS = {"http": "http/1.1", "grpc": "h2", "admin": "http/1.1"}


@pytest.fixture
def secure(gateway, authority):
    """A factory: a gateway that listens with TLS, asking for client certificates."""
    def start(**config):
        cert, key = authority.issue("gateway", "DNS:localhost", "IP:127.0.0.1")
        gw = gateway(ca=authority.cert, config={"tls.cert": str(cert), "tls.key": str(key),
                                                "tls.client_ca": str(authority.cert), **config})
        gw.cert, gw.key, gw.replica = cert, key, gw.replicas[0]
        return gw
    return start


@pytest.fixture
def house(secure, node):
    """... with a tenant on a node."""
    gw = secure()
    gw.root = gw.signin()["access_token"]
    gw.admin("POST", "/admin/tenants", gw.root, {"id": "acme", "name": "Acme"})
    gw.route(gw.root, aggregate_placement={"acme": "a1"}, aggregate_shards={"a1": [node.grpc]},
             projection_placement={"acme": "p1"}, projection_shards={"p1": [node.http]})
    return gw


def service_account(gw, subject, name="robot"):
    """Its id and that of its certificate."""
    sa = gw.admin("POST", "/admin/service-accounts", gw.root, {"name": name})["id"]
    gw.admin("POST", "/admin/assignments", gw.root, {"principal": sa, "tenant": "acme", "role": "tenant-member"})
    made = gw.admin("POST", f"/admin/service-accounts/{sa}/credentials", gw.root,
                    {"kind": "certificate", "subject": subject})
    return sa, made["id"]


def s_client(gw, *args, listener="http", text=b"", timeout=60):
    """What openssl(1) says of a connection that it opens, on which it sends `text`, and closes."""
    p = subprocess.run(["openssl", "s_client", "-connect", gw.replica.address[listener], "-CAfile", gw.verify,
                        "-verify_return_error", "-ign_eof" if text else "-no_ign_eof", *map(str, args)],
                       input=text or b"Q", capture_output=True, timeout=timeout)
    return (p.stdout + p.stderr).decode("latin-1")


def context(gw, alpn=("http/1.1",), pair=None):
    c = ssl.create_default_context(cafile=gw.verify)
    c.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # a stream that is cut off is an error
    if alpn:
        c.set_alpn_protocols(list(alpn))
    if pair:
        c.load_cert_chain(*pair)
    return c


def connect(gw, listener="http", alpn=("http/1.1",), pair=None, timeout=60):
    s = socket.create_connection(("127.0.0.1", gw.replica.port(listener)), timeout=timeout)
    return context(gw, alpn, pair).wrap_socket(s, server_hostname="localhost", suppress_ragged_eofs=False)


def new_session(gw, pair=None, token=None):
    s = requests.Session()
    s.trust_env = False  # it would prefer an authority named in the environment
    s.verify, s.cert = gw.verify, tuple(map(str, pair)) if pair else None
    s.headers["x-tenant-id"] = "acme"
    if token:
        s.headers["authorization"] = f"Bearer {token}"
    return s


def read_all(s):
    got = b""
    while part := s.recv(65536):
        got += part
    return got


def metric(gw, name, **kw):
    text = gw.call("GET", "/metrics", gw.root if hasattr(gw, "root") else None, listener="admin", **kw).text
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.M).group(1))


# ---- versions and protocols -----------------------------------------------------------------------------

@pytest.mark.parametrize("listener", LISTENERS)
def test_versions(secure, listener):
    gw = secure()
    alpn = ("-alpn", LISTENERS[listener])
    for version in ("-tls1", "-tls1_1"):
        said = s_client(gw, version, "-cipher", "ALL:@SECLEVEL=0", *alpn, listener=listener)
        assert "alert protocol version" in said, said
    for version, name in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
        said = s_client(gw, version, *alpn, listener=listener)
        assert f"New, {name}" in said and "Verify return code: 0 (ok)" in said, said
        assert f"ALPN protocol: {LISTENERS[listener]}" in said
        assert "Compression: NONE" in said


def test_ciphers_have_forward_secrecy_and_aead(secure):
    gw = secure()
    for cipher in ("AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256", "NULL-SHA256"):
        assert "alert" in s_client(gw, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0"), cipher
    assert "ECDHE-ECDSA-AES128-GCM-SHA256" in s_client(gw, "-tls1_2")


@pytest.mark.parametrize("listener", LISTENERS)
def test_protocols(secure, listener):
    gw = secure()
    mine = LISTENERS[listener]
    other = "h2" if mine == "http/1.1" else "http/1.1"
    for version in ("-tls1_2", "-tls1_3"):
        assert "no application protocol" in s_client(gw, version, "-alpn", other, listener=listener)
        assert "no application protocol" in s_client(gw, version, "-alpn", "spdy/3,foo", listener=listener)
        assert f"ALPN protocol: {mine}" in s_client(gw, version, "-alpn", f"{other},{mine}", listener=listener)
        without = s_client(gw, version, listener=listener)
        if mine == "h2":
            assert "no application protocol" in without
        else:
            assert "Verify return code: 0 (ok)" in without


def test_curl(secure):
    gw = secure()
    for listener, version in (("http", "1.1"), ("admin", "1.1"), ("grpc", "2")):
        p = subprocess.run(["curl", "-sS", "--cacert", gw.verify, "-w", "\n%{http_code} %{http_version}",
                            f"https://{gw.replica.address[listener]}/health"], capture_output=True, text=True)
        assert p.stdout.splitlines()[-1] == f"200 {version}", p.stderr


def test_gwctl(secure, stranger):
    gw = secure()
    gw.login()
    assert gw.ctl("whoami").json()["kind"] == "user"
    p = gw.gwctl("--server", gw.replica.admin, "whoami", check=False, env={"GWCTL_CA": str(stranger.cert)})
    assert p.returncode == 6 and "certificate" in p.stderr.lower()


# ---- resumption -----------------------------------------------------------------------------------------

def test_tickets(secure, tmp_path):
    gw = secure()
    session = tmp_path / "session"
    get = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    assert "New, TLSv1.3" in s_client(gw, "-tls1_3", "-sess_out", session, text=get)
    again = s_client(gw, "-tls1_3", "-sess_in", session, text=get)
    assert "Reused, TLSv1.3" in again and "200 OK" in again
    assert metric(gw, 'gateway_tls_handshakes_total{outcome="resumed"}') == 1
    gw.replica.reload()
    until(lambda: "reloaded" in gw.replica.process.output())
    assert "New, TLSv1.3" in s_client(gw, "-tls1_3", "-sess_in", session, text=get), "tickets end with a reload"


def test_no_tickets_in_1_2(secure, tmp_path):
    gw = secure()
    session = tmp_path / "session"
    assert "New, TLSv1.2" in s_client(gw, "-tls1_2", "-sess_out", session)
    assert "New, TLSv1.2" in s_client(gw, "-tls1_2", "-sess_in", session)


def test_no_renegotiation(secure):
    gw = secure()
    p = subprocess.Popen(["openssl", "s_client", "-connect", gw.replica.address["http"], "-CAfile", gw.verify, "-tls1_2"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    p.stdin.write(b"R\n")
    p.stdin.flush()
    said, _ = p.communicate(timeout=60)
    assert p.returncode != 0 and b"RENEGOTIATING" in said, said


# ---- the whole way --------------------------------------------------------------------------------------

def test_requests_of_every_size(house, node):
    with new_session(house, token=house.root) as s:
        for size in (0, 1, 16_000, 16_384, 70_000, 900_000):
            r = s.post(f"{house.replica.http}/v1/query/echo", json={"fill": "x" * size})
            assert r.status_code == 200, r.text
            assert len(r.content) > size
        for i in range(50):
            r = s.post(f"{house.replica.http}/v1/commands/order/o-{i}", json={"command_type": "place", "payload": {}})
            assert r.status_code == 200, r.text
    assert metric(house, 'gateway_tls_handshakes_total{outcome="full"}') < 20


def test_pipelined_and_split(house):
    one = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
    with connect(house) as s:
        s.sendall(one * 30 + one.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        assert read_all(s).count(b"HTTP/1.1 200 OK") == 31
    with connect(house) as s:
        for i in range(len(one)):
            s.sendall(one[i:i + 1])
        assert s.recv(4096).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_request_in_the_packet_of_the_last_handshake_message(secure, version):
    gw = secure()
    for listener, request, answer in (
        ("http", b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n", b"HTTP/1.1 200 OK"),
        ("grpc", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0", b"\0\0\0\4\1\0\0\0\0"),  # SETTINGS, ACK
    ):
        c = context(gw, alpn=(LISTENERS[listener],))
        c.minimum_version = c.maximum_version = version
        assert answer in talk_at_once(gw, listener, c, request, answer)


def talk_at_once(gw, listener, c, request, answer):
    """What comes back, up to the answer, when the request is sent in one packet with the end of the handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = c.wrap_bio(incoming, outgoing, server_hostname="localhost")
    got = b""
    with socket.create_connection(("127.0.0.1", gw.replica.port(listener)), timeout=60) as s:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                s.sendall(outgoing.read())
                incoming.write(s.recv(65536))
        tls.write(request)
        s.sendall(outgoing.read())
        while answer not in got:
            try:
                part = tls.read(4096)
                assert part, f"the server ends the connection behind {got!r}"
                got += part
            except ssl.SSLWantReadError:
                incoming.write(s.recv(65536))
    return got


def test_answers_end_with_close_notify(secure):
    gw = secure()
    with connect(gw) as s:
        s.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert read_all(s).startswith(b"HTTP/1.1 200")  # a cut would raise
    with connect(gw) as s:
        s.sendall(b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n")
        assert read_all(s).startswith(b"HTTP/1.1 400")


def test_a_slow_reader_costs_only_its_own_connection(house):
    with connect(house) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        body = b'{"fill":"' + b"x" * 900_000 + b'"}'
        s.sendall(b"POST /v1/query/echo HTTP/1.1\r\nhost: x\r\nx-tenant-id: acme\r\ncontent-type: application/json\r\n"
                  b"connection: close\r\nauthorization: Bearer %s\r\ncontent-length: %d\r\n\r\n"
                  % (house.root.encode(), len(body)) + body)
        for _ in range(20):
            assert house.call("GET", "/health").status_code == 200
        got = read_all(s)
        assert got.startswith(b"HTTP/1.1 200") and len(got) > 900_000


class SecureStreamNode(StreamNode):
    """With TLS, which its threads begin."""

    def __init__(self, pair):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*pair)
        super().__init__()
        self.url = self.url.replace("http:", "https:")

    def serve(self, s):
        with self.context.wrap_socket(s, server_side=True) as tls:
            super().serve(tls)


@pytest.mark.parametrize("listener", ["http", "grpc"])
@pytest.mark.parametrize("behind", ["plaintext", "TLS"])
def test_streams(secure, authority, tmp_path, listener, behind):
    """Large bodies both ways, and both at once."""
    node = StreamNode() if behind == "plaintext" else \
        SecureStreamNode(authority.issue("node", "IP:127.0.0.1"))
    gw = secure(**{"limits.body": 0, "workers": 1, "upstream.ca": str(authority.cert)})
    gw.root = gw.signin()["access_token"]
    gw.admin("POST", "/admin/tenants", gw.root, {"id": "acme", "name": "Acme"})
    gw.route(gw.root, projection_placement={"acme": "p"}, projection_shards={"p": [node.url]})
    path = tmp_path / "body"
    path.write_bytes(BLOCK * (SIZE // len(BLOCK)))

    def curl(view, *args):
        p = subprocess.run(["curl", "-sS", "--cacert", gw.verify, "-X", "POST", "-H", f"authorization: Bearer {gw.root}",
                            "-H", "x-tenant-id: acme", "-H", "content-type: application/json", "-H", "expect:", *args,
                            f"https://{gw.replica.address[listener]}/v1/query/{view}"],
                           capture_output=True, timeout=60)
        assert p.returncode == 0, p.stderr
        return p.stdout

    assert json.loads(curl("digest", "-T", path))["sha256"] == SHA
    assert json.loads(curl("digest", "-H", "transfer-encoding: chunked", "-T", path)
                      if listener == "http" else curl("digest", "-T", path))["sha256"] == SHA
    for view in ("give", "chunks", "until_close") if behind == "plaintext" else ("give", "chunks"):
        assert hashlib.sha256(curl(view, "-d", "{}")).hexdigest() == SHA, view
    assert hashlib.sha256(curl("give", "-d", "{}", "--limit-rate", "60M")).hexdigest() == SHA
    assert hashlib.sha256(curl("echo", "-T", path)).hexdigest() == SHA
    node.close()


def test_grpcio(house, authority, protos):
    """A real gRPC client, by token and by certificate."""
    service_account(house, "CN=grpc-robot")
    cert, key = authority.issue("grpc-robot")
    ca = authority.cert.read_bytes()
    plain = grpc.ssl_channel_credentials(ca)
    mutual = grpc.ssl_channel_credentials(ca, key.read_bytes(), cert.read_bytes())
    with protos.client(house.replica.grpc, plain) as c:
        for i in range(20):
            answer = c.submit("acme", token=house.root, aggregate_type="order", aggregate_id=f"g{i}",
                              command_type="place", payload=b"{}")
            assert answer.version == 1
        with pytest.raises(grpc.RpcError) as e:
            c.submit("acme", aggregate_type="order", aggregate_id="x", command_type="place", payload=b"{}")
        assert e.value.code() == grpc.StatusCode.UNAUTHENTICATED
    with protos.client(house.replica.grpc, mutual) as c:
        answer = c.submit("acme", aggregate_type="order", aggregate_id="g0", command_type="place",
                          payload=b'{"fill":"%s"}' % (b"x" * 500_000))
        assert answer.version == 2


# ---- callers with certificates --------------------------------------------------------------------------

@pytest.mark.parametrize("subject,name,san", [
    ("CN=robot,O=Acme", "/O=Acme/CN=robot", ()),
    ("robot.acme.test", "/CN=ignored", ("DNS:robot.acme.test",)),
    ("spiffe://acme.test/robot", "/CN=ignored", ("URI:spiffe://acme.test/robot",)),
    ("10.1.2.3", "/CN=ignored", ("IP:10.1.2.3",)),
])
def test_a_service_account_signs_in_by_certificate(house, authority, subject, name, san):
    sa, credential = service_account(house, subject)
    pair = authority.issue("robot", *san, subject=name)
    with new_session(house, pair) as s:
        me = s.get(f"{house.replica.http}/v1/me")
        assert me.status_code == 200, me.text
        assert me.json()["id"] == sa and me.json()["auth"]["method"] == "certificate"
        r = s.post(f"{house.replica.http}/v1/query/echo", json={})
        assert r.status_code == 200, r.text
        r = s.post(f"{house.replica.http}/v1/query/echo", json={}, headers={"origin": "https://evil.test"})
        assert r.status_code == 403, "browsers show certificates for any page"
        # what is presented explicitly decides
        assert s.get(f"{house.replica.http}/v1/me", headers={"authorization": "Bearer nonsense"}).status_code == 401
        house.admin("DELETE", f"/admin/service-accounts/{sa}/credentials/{credential}", house.root)
        assert s.get(f"{house.replica.http}/v1/me").status_code == 401, "revoked at once, on the same connection"


def test_certificates_that_say_nothing(house, authority):
    service_account(house, "CN=robot")
    for pair in (None, authority.issue("somebody")):
        with new_session(house, pair) as s:
            assert s.get(f"{house.replica.http}/v1/me").status_code == 401


def test_certificates_that_are_refused(house, authority, stranger):
    service_account(house, "CN=robot")
    for pair in (stranger.issue("robot"), authority.issue("robot", days=-1)):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            c = context(house, pair=pair)
            c.minimum_version = c.maximum_version = version
            with pytest.raises((ssl.SSLError, ConnectionError)):
                with socket.create_connection(("127.0.0.1", house.replica.port()), timeout=60) as s:
                    with c.wrap_socket(s, server_hostname="localhost", suppress_ragged_eofs=False) as t:
                        t.sendall(b"GET /v1/me HTTP/1.1\r\nhost: x\r\n\r\n")
                        t.recv(100)
    assert metric(house, 'gateway_tls_handshakes_total{outcome="failed"}') == 4


def test_a_ticket_brings_back_the_caller(house, authority, tmp_path):
    sa, credential = service_account(house, "CN=robot")
    cert, key = authority.issue("robot")
    get = b"GET /v1/me HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    first = s_client(house, "-tls1_3", "-cert", cert, "-key", key, "-sess_out", tmp_path / "s", text=get)
    assert "New, TLSv1.3" in first and sa in first
    again = s_client(house, "-tls1_3", "-sess_in", tmp_path / "s", text=get)
    assert "Reused, TLSv1.3" in again and sa in again
    house.admin("DELETE", f"/admin/service-accounts/{sa}/credentials/{credential}", house.root)
    again = s_client(house, "-tls1_3", "-sess_in", tmp_path / "s", text=get)
    assert "Reused, TLSv1.3" in again and "401 Unauthorized" in again


def test_without_client_ca_no_certificate_is_asked_for(gateway, authority):
    cert, key = authority.issue("gateway", "IP:127.0.0.1")
    gw = gateway(ca=authority.cert, config={"tls.cert": str(cert), "tls.key": str(key)})
    gw.replica = gw.replicas[0]
    for version in ("-tls1_2", "-tls1_3"):
        assert "No client certificate CA names sent" in s_client(gw, version)
        assert "Requested Signature Algorithms" not in s_client(gw, version)


def test_basic_needs_tls(house, gateway):
    sa = house.admin("POST", "/admin/service-accounts", house.root, {"name": "robot"})["id"]
    secret = house.admin("POST", f"/admin/service-accounts/{sa}/credentials", house.root, {"kind": "secret"})["secret"]
    assert house.call("GET", "/v1/me", auth=(sa, secret)).status_code == 200
    plain = gateway()
    root = plain.signin()["access_token"]
    sa = plain.admin("POST", "/admin/service-accounts", root, {"name": "robot"})["id"]
    secret = plain.admin("POST", f"/admin/service-accounts/{sa}/credentials", root, {"kind": "secret"})["secret"]
    refused, wrong = (plain.call("GET", "/v1/me", auth=(sa, s)) for s in (secret, "wrong"))
    assert refused.status_code == wrong.status_code == 401
    assert refused.json()["code"] == wrong.json()["code"] and refused.json()["error"] == wrong.json()["error"]


# ---- reloading ------------------------------------------------------------------------------------------

def serial(gw, listener="http"):
    said = s_client(gw, "-alpn", LISTENERS[listener], listener=listener)
    pem = re.search("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", said, re.S).group(0)
    return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem, capture_output=True, text=True,
                          check=True).stdout.strip()


def reloads(gw):
    return sum(1 for e in gw.replica.log() if e.get("msg") == "reloaded")


def test_reload_under_load(house, authority):
    stop, faults, served = threading.Event(), [], [0, 0]

    def keep(session):
        url = f"{house.replica.http}/v1/query/echo"
        while not stop.is_set():
            try:
                r = session.post(url, json={"fill": "x" * 3000}, timeout=60)
                if r.status_code != 200:
                    faults.append(r.text)
                served[0] += 1
            except requests.RequestException as e:
                faults.append(repr(e))

    def come_anew():
        while not stop.is_set():
            try:
                with connect(house) as s:
                    s.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                    if not read_all(s).startswith(b"HTTP/1.1 200"):
                        faults.append("no answer")
                served[1] += 1
            except OSError as e:
                faults.append(repr(e))

    sessions = [new_session(house, token=house.root) for _ in range(4)]
    threads = [threading.Thread(target=keep, args=(s,)) for s in sessions] + \
        [threading.Thread(target=come_anew) for _ in range(2)]
    for t in threads:
        t.start()
    serials = {serial(house)}
    for i in range(5):
        cert, key = authority.issue(f"next{i}", "DNS:localhost", "IP:127.0.0.1")
        shutil.copy(cert, house.cert)
        shutil.copy(key, house.key)
        before, had = reloads(house), served[:]
        house.replica.reload()
        wait_for(house, lambda: reloads(house) > before)
        for listener in LISTENERS:
            serials.add(serial(house, listener))
        wait_for(house, lambda: served[0] > had[0] + 20 and served[1] > had[1] + 10)
    stop.set()
    for t in threads:
        t.join()
    assert not faults, faults[:5]
    assert len(serials) == 6
    for s in sessions:
        pools = [p for p in s.get_adapter("https://").poolmanager.pools._container.values()]
        assert sum(p.num_connections for p in pools) == 1, "kept through all reloads"
        s.close()


def test_a_bad_file_changes_nothing(house, authority, stranger):
    before = serial(house)
    cert, key = authority.issue("next", "DNS:localhost", "IP:127.0.0.1")
    for config, said in (
        ({"tls__cert": str(cert)}, "is not the key of the certificate"),
        ({"tls__cert": "/absent.pem", "tls__key": str(key)}, "/absent.pem: No such file"),
        ({"tls__cert": str(cert), "tls__key": str(key), "tls__client_ca": str(key)}, "holds no certificate"),
        ({"upstream__ca": "/absent-ca.pem"}, "/absent-ca.pem: No such file"),
    ):
        kept = dict(house.replica.config)
        failed = house.replica.process.output().count("reload failed")
        house.replica.reload(**config)
        wait_for(house, lambda: house.replica.process.output().count("reload failed") > failed)
        last = [e for e in house.replica.log() if e.get("msg", "").startswith("reload failed")][-1]
        assert said in str(last), last
        assert serial(house) == before
        house.replica.config = kept
    done = reloads(house)
    house.replica.reload(tls__cert=str(cert), tls__key=str(key))
    wait_for(house, lambda: reloads(house) > done)
    assert serial(house) != before


def test_certificates_are_renewed_for_ever(secure, authority):
    """A short-lived certificate is renewed more often than the configuration ever changes."""
    gw = secure()
    for i in range(80):
        gw.replica.process.signal(1)
        wait_for(gw, lambda: reloads(gw) > i)
    before = serial(gw)
    cert, key = authority.issue("next", "DNS:localhost", "IP:127.0.0.1")
    shutil.copy(cert, gw.cert)
    shutil.copy(key, gw.key)
    gw.replica.process.signal(1)
    wait_for(gw, lambda: reloads(gw) > 80)
    assert serial(gw) != before


def test_a_reload_does_not_switch_tls_off(house):
    for key in ("tls.cert", "tls.key", "tls.client_ca"):
        del house.replica.config[key]
    house.replica.write_config()
    house.replica.process.signal(1)
    wait_for(house, lambda: "plaintext and TLS only at a restart" in house.replica.process.output())
    assert "Verify return code: 0 (ok)" in s_client(house)


def test_client_ca_changes_at_a_reload(house, stranger):
    service_account(house, "CN=robot")
    pair = stranger.issue("robot")
    with new_session(house, pair) as s, pytest.raises(requests.ConnectionError):
        s.get(f"{house.replica.http}/v1/me")
    done = reloads(house)
    house.replica.reload(tls__client_ca=str(stranger.cert))
    wait_for(house, lambda: reloads(house) > done)
    with new_session(house, pair) as s:
        assert s.get(f"{house.replica.http}/v1/me").status_code == 200


# ---- starting -------------------------------------------------------------------------------------------

def gatewayd(directory, *args):
    return subprocess.run([program(GATEWAYD), "-o", f"store.url=sqlite:{directory}/x.db", "-o", "listen.http=127.0.0.1:0",
                           "-o", "listen.grpc=127.0.0.1:0", "-o", "listen.admin=127.0.0.1:0", *map(str, args)],
                          cwd=directory, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("check", [(), ("--check",)])
def test_faults_at_the_start(tmp_path, authority, check):
    cert, key = authority.issue("gateway", "DNS:localhost")
    _, other = authority.issue("other", "DNS:localhost")
    for config, said in (
        (("-o", f"tls.cert={cert}"), "tls.cert: given without tls.key"),
        (("-o", f"tls.cert={cert}", "-o", f"tls.key={other}"), f"tls: {other}: is not the key of the certificate in {cert}"),
        (("-o", f"tls.cert={cert}", "-o", f"tls.key={tmp_path}/none"), f"tls: {tmp_path}/none: No such file"),
        (("-o", f"upstream.cert={cert}", "-o", f"upstream.key={cert}"), f"upstream: {cert}: holds no private key"),
    ):
        p = gatewayd(tmp_path, *config, *check)
        assert p.returncode != 0 and said in p.stderr, (said, p.stderr)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_an_expired_certificate_is_warned_of(secure, authority):
    gw = secure()
    cert, key = authority.issue("old", "DNS:localhost", days=-1)
    shown = 'gateway_tls_certificate_expiry_seconds{shown_to="clients"}'
    assert metric(gw, shown) > 86000
    gw.replica.reload(tls__cert=str(cert), tls__key=str(key))
    wait_for(gw, lambda: reloads(gw))
    assert any(e.get("level") == "warn" and e.get("msg") == "this certificate has expired" and e.get("file") == str(cert)
               for e in gw.replica.log())
    assert metric(gw, shown, verify=False) < -80000


def test_status_and_metrics_say_when_certificates_expire(secure, gateway, authority):
    def day(cert):
        text = subprocess.run(["openssl", "x509", "-noout", "-enddate", "-in", cert], capture_output=True, text=True,
                              check=True).stdout.strip().split("=")[1]
        return datetime.datetime.strptime(text, "%b %d %H:%M:%S %Y %Z").strftime("%Y-%m-%dT%H:%M:%S.000Z")
    cert, key = authority.issue("to-nodes", "DNS:gateway.test", days=30)
    gw = secure(**{"upstream.cert": str(cert), "upstream.key": str(key)})
    status = gw.admin("GET", "/admin/status", gw.signin()["access_token"])["tls"]
    assert status == {"certificate_expires_at": day(gw.replica.config["tls.cert"]),
                      "node_certificate_expires_at": day(cert)}
    left = metric(gw, 'gateway_tls_certificate_expiry_seconds{shown_to="nodes"}')
    assert 29 * 86400 < left < 31 * 86400
    plain = gateway()
    assert plain.admin("GET", "/admin/status", plain.signin()["access_token"])["tls"] == \
        {"certificate_expires_at": None, "node_certificate_expires_at": None}
    assert "certificate_expiry" not in plain.call("GET", "/metrics", listener="admin").text


def test_the_issuer_is_https(gateway, authority):
    cert, key = authority.issue("gateway", "IP:127.0.0.1")
    gw = gateway(ca=authority.cert, config={"tls.cert": str(cert), "tls.key": str(key)}, start=False)
    del gw.replicas[0].config["auth.issuer"]
    gw.prepare()
    gw.replicas[0].start()
    claims = jwt.decode(gw.signin()["access_token"], options={"verify_signature": False})
    assert claims["iss"] == gw.replicas[0].http


# ---- bad clients ----------------------------------------------------------------------------------------

def test_what_is_not_tls(secure):
    gw = secure()
    for listener in LISTENERS:
        for data in (b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
                     b"\x16\x03\x01\x40\x00" + b"\x01" * 100, bytes(1000), b"\x80\x2e\x01\x00\x02"):
            got = gw.replica.raw(data, listener, shut=True)
            assert b"HTTP" not in got
    assert metric(gw, 'gateway_tls_handshakes_total{outcome="failed"}') == 15


def test_a_client_that_says_nothing_is_sent_away(secure):
    gw = secure(**{"timeouts.header": "2s"})  # within which a handshake must be over on a busy machine, too
    mute = [(listener, data) for listener in LISTENERS
            for data in (b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")]
    with connect(gw) as s, concurrent.futures.ThreadPoolExecutor(len(mute)) as pool:
        assert set(pool.map(lambda m: gw.replica.raw(m[1], m[0], timeout=9), mute)) == {b""}
        assert s.recv(1) == b""  # shook hands, and then nothing


def test_a_storm_of_handshakes_leaves_others_alone(house):
    """Requests on an open connection go on while others come in crowds; nothing fails."""
    stop, faults = threading.Event(), []

    def storm():
        c = context(house)
        while not stop.is_set():
            try:
                with socket.create_connection(("127.0.0.1", house.replica.port()), timeout=60) as s, \
                        c.wrap_socket(s, server_hostname="localhost"):
                    pass
            except OSError as e:
                faults.append(repr(e))

    threads = [threading.Thread(target=storm) for _ in range(8)]
    for t in threads:
        t.start()
    with new_session(house) as s:
        for _ in range(200):
            assert s.get(f"{house.replica.http}/health", timeout=60).status_code == 200
    stop.set()
    for t in threads:
        t.join()
    assert not faults, faults[:3]


@pytest.mark.parametrize("frame", [b"\0\0\0\xfa\0\0\0\0\0", b"\0\x3e\x80\xfa\0\0\0\0\0" + bytes(16000)],
                         ids=["small", "large"])
def test_a_client_that_sends_faster_than_it_is_read(secure, frame):
    """HTTP/2 frames of a kind that nobody knows, without end: others get their turn."""
    gw, over = secure(workers=1), threading.Event()
    many = frame * (MIB // len(frame))

    def flood():
        with connect(gw, "grpc", alpn=("h2",)) as c:
            c.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
            while not over.is_set():
                c.sendall(many)

    floods = [threading.Thread(target=flood) for _ in range(2)]
    for t in floods:
        t.start()
    try:
        with new_session(gw) as s:
            for _ in range(40):
                assert s.get(f"{gw.replica.http}/health", timeout=5).status_code == 200
    finally:
        over.set()
        for t in floods:
            t.join()


def test_a_drain_ends_connections_properly(secure):
    gw = secure()
    with connect(gw) as idle, connect(gw, "grpc", alpn=("h2",)) as h2:
        idle.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert idle.recv(4096).startswith(b"HTTP/1.1 200")
        h2.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        assert gw.stop() == [0]
        assert read_all(idle) == b""
        assert b"\x07" in read_all(h2)  # GOAWAY, then close_notify


def accepts(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def frame_types(data):
    while data:
        yield data[3]
        data = data[9 + int.from_bytes(data[:3], "big"):]


@pytest.mark.parametrize("listener,alpn,request_", [
    ("http", "http/1.1", b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"),
    ("grpc", "h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
     + b"\0\0\x0e\1\5\0\0\0\1" + b"\x82\x87\4\7/health\1\1x"),
], ids=["http", "grpc"])
def test_a_handshake_amid_a_drain_is_followed_by_a_request(secure, listener, alpn, request_):
    """The server has answered the hello when it is told to end; the rest comes when it listens no more."""
    gw = secure()
    port = gw.replica.port(listener)
    to_come, to_go = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context(gw, (alpn,)).wrap_bio(to_come, to_go, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", port), timeout=60) as s:
        while True:
            try:
                client.do_handshake()
                break  # its last message is in to_go
            except ssl.SSLWantReadError:
                s.sendall(to_go.read())
                to_come.write(s.recv(65536))
        gw.replica.process.signal(signal.SIGTERM)
        until(lambda: not accepts(port), what="the listener to close")
        client.write(request_)
        s.sendall(to_go.read())
        answer = b""
        while part := s.recv(65536):
            to_come.write(part)
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                while data := client.read(65536):
                    answer += data
    if listener == "http":
        assert answer.startswith(b"HTTP/1.1 200") and b"connection: close" in answer, answer
    else:
        assert {1, 7} <= set(frame_types(answer)), answer  # HEADERS, GOAWAY
    assert gw.replica.process.wait() == 0
