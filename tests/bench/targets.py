"""What is measured: gatewayd, HAProxy and nginx before the same sample node, each configured as its
own documentation advises for many keep-alive connections. Each serves both protocols."""
import os
import socket
import sys

import requests

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "e2e"))

from harness import ports  # noqa: E402
from harness.gateway import Gateway  # noqa: E402
from harness.process import Process  # noqa: E402
from harness.wait import until  # noqa: E402

TENANT = "acme"
USER, PASSWORD = "bench@example.test", "seventeen slow turtles"

HAPROXY = """
global
    nbthread 2
    maxconn 4096
    tune.pool-low-fd-ratio 50
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
    retries 1
frontend http
    bind 127.0.0.1:{http}
{check}
    default_backend node_http
backend node_http
    server node {node_http} pool-max-conn 256 pool-purge-delay 60s
frontend grpc
    bind 127.0.0.1:{grpc} proto h2
{check}
    default_backend node_grpc
backend node_grpc
    server node {node_grpc} proto h2 pool-max-conn 256 pool-purge-delay 60s
"""

# signature and expiry, as HAProxy's documentation of jwt_verify shows
HAPROXY_JWT = """
    http-request set-var(txn.bearer) http_auth_bearer
    http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
    http-request deny deny_status 401 unless {{ var(txn.alg) -m str ES256 }}
    http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,"{key}") 1 }}
    http-request set-var(txn.now) date()
    http-request deny deny_status 401 if {{ var(txn.bearer),jwt_payload_query('$.exp','int'),sub(txn.now) -m int le 0 }}
"""

# of any nginx: what it serves stands in `http`
NGINX = """
daemon off;
{user}
worker_processes {workers};
pid {dir}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    keepalive_requests 100000000;
{http}
}}
"""

NGINX_PROXY = """
    http2_max_concurrent_streams 256;
    upstream node_http {{ server {node_http}; keepalive 64; keepalive_requests 100000000; }}
    upstream node_grpc {{ server {node_grpc}; keepalive 64; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{http} reuseport;
        location / {{ proxy_pass http://node_http; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
    server {{
        listen 127.0.0.1:{grpc} http2 reuseport;
        location / {{ grpc_pass grpc://node_grpc; }}
    }}
"""


def nginx_conf(directory, workers, http):
    return NGINX.format(dir=directory, workers=workers, http=http, user="user root;" if os.geteuid() == 0 else "")


def listening(port):
    with socket.create_connection(("127.0.0.1", port), timeout=2):
        return True


class Direct:
    """No proxy: the limit of the sample node and of the load generator together."""
    name = "backend alone"
    token = None  # that all targets but gatewayd itself are given; set when there is one

    def __init__(self, node):
        self.http, self.grpc = node.http, f"http://{node.address['grpc']}"
        self.pid = node.process.pid

    def stop(self):
        pass


class Program:
    """A proxy in a process of its own."""
    token = None

    def __init__(self, name, argv, directory, cores):
        self.name = name
        self.process = Process(name.replace(" ", "-"), ["taskset", "-c", cores, *argv], directory)
        self.process.start()
        for url in (self.http, self.grpc):
            until(lambda: listening(int(url.rsplit(":", 1)[1])), 10, f"{name} to listen: {self.process.log_path}")
        self.pid = self.process.pid

    def take_ports(self):
        http, grpc = ports.free(2)
        self.http, self.grpc = f"http://127.0.0.1:{http}", f"http://127.0.0.1:{grpc}"
        return {"http": http, "grpc": grpc}

    def stop(self):
        self.process.stop()


class Haproxy(Program):
    def __init__(self, node, directory, cores, key=None):
        name = "HAProxy ES256" if key else "HAProxy plain"
        path = directory / f"{name.replace(' ', '-')}.cfg"
        path.write_text(HAPROXY.format(node_http=node.address["http"], node_grpc=node.address["grpc"],
                                       check=HAPROXY_JWT.format(key=key) if key else "", **self.take_ports()))
        super().__init__(name, ["haproxy", "-db", "-q", "-f", str(path)], directory, cores)


class Nginx(Program):
    def __init__(self, node, directory, cores):
        path = directory / "nginx.conf"
        path.write_text(nginx_conf(directory, 2, NGINX_PROXY.format(
            node_http=node.address["http"], node_grpc=node.address["grpc"], **self.take_ports())))
        super().__init__("nginx plain", ["nginx", "-p", str(directory), "-c", str(path), "-e", "stderr"],
                         directory, cores)


class Gatewayd:
    """gatewayd with a tenant, a user who is its member, and routes to the node."""

    def __init__(self, node, directory, cores, config=None, name="gatewayd", env=None):
        self.name = name
        self.gateway = Gateway(directory / name.replace(" ", "-"), start=False, env=env,
                               config={"workers": 2, "auth.access_ttl": "1h", **(config or {})})
        self.gateway.prepare()
        self.replica = self.gateway.replicas[0]
        self.replica.process.argv = ["taskset", "-c", cores, *self.replica.process.argv]
        self.replica.start()
        self.set_up(node)

    def set_up(self, node):
        g, root = self.gateway, self.gateway.signin()["access_token"]
        g.admin("POST", "/admin/tenants", root, {"id": TENANT, "name": "Acme"})
        user = g.admin("POST", "/admin/users", root, {"email": USER, "password": PASSWORD})
        g.admin("POST", "/admin/assignments", root,
                {"principal": user["id"], "tenant": TENANT, "role": "tenant-member"})
        g.route(root, aggregate_placement={TENANT: "a1"}, aggregate_shards={"a1": [node.grpc]},
                projection_placement={TENANT: "p1"}, projection_shards={"p1": [node.http]})
        self.token = g.signin(USER, PASSWORD)["access_token"]

    def jwks(self):
        return requests.get(f"{self.replica.http}/.well-known/jwks.json", timeout=10).json()["keys"]

    @property
    def pid(self):
        return self.replica.process.pid

    @property
    def http(self):
        return self.replica.http

    @property
    def grpc(self):
        return f"http://{self.replica.grpc}"

    def stop(self):
        self.gateway.stop()
