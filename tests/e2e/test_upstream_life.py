"""The life of nodes as the gateway sees it: health checks, what they do to calls, and upstream.* keys that change
while the gateway runs."""
import json
import re
import socket
import threading
import time
import uuid

import pytest

from harness.nodes import HttpNode
from harness.placed import Placed
from harness.wait import until


class House:
    """A gateway that routes acme's queries to what the test names."""

    def __init__(self, gateway, *urls, tenant="acme", **config):
        config = {"upstream.health.interval": "0s", **{k.replace("__", "."): v for k, v in config.items()}}
        self.gw = gateway(config=config)
        self.token = self.gw.signin()["access_token"]
        self.gw.admin("POST", "/admin/tenants", self.token, {"id": tenant, "name": tenant})
        self.route(*urls)

    def route(self, *urls):
        self.gw.route(self.token, projection_placement={"acme": "p"}, projection_shards={"p": list(urls)})

    def query(self, view="orders", body=None, **kw):
        return self.gw.call("POST", f"/v1/query/{view}", self.token, "acme", json=body or {}, **kw)

    def reload(self, **config):
        replica = self.gw.replicas[0]
        before = sum(e.get("msg") == "reloaded" for e in replica.log())
        replica.reload(**config)
        until(lambda: sum(e.get("msg") == "reloaded" for e in replica.log()) > before, what="the reload")

    def metric(self, name, **labels):
        """The value of the sample that has these labels; None: there is none."""
        for line in self.gw.call("GET", "/metrics", listener="admin").text.splitlines():
            if line.startswith(name) and all(f'{k}="{v}"' in line for k, v in labels.items()):
                return float(line.rsplit(" ", 1)[1])

    def nodes(self):
        return self.gw.admin("GET", "/admin/status", self.token)["nodes"]


@pytest.fixture
def http_node():
    made = []

    def make(answer=lambda path, body: (200, {"node": True})):
        made.append(HttpNode(answer))
        return made[-1]
    yield make
    for node in made:
        node.stop()


def code(r):
    return r.status_code, r.json().get("code")


# ---- health checks


def test_a_node_that_is_not_ready_gets_no_calls(gateway, http_node):
    a, b = (http_node(lambda path, body, name=name: (200, {"node": name})) for name in "ab")
    house = House(gateway, a.http, b.http, upstream__health__interval="100ms")
    until(lambda: house.nodes()["up"] == 2, what="both nodes to be up")
    assert house.nodes() == {"unwell": [], "unwell_total": 0, "total": 2, "up": 2, "down": 0, "unknown": 0,
                             "circuits_open": 0, "circuits_half_open": 0}
    until(lambda: {house.query().json()["node"] for _ in range(4)} == {"a", "b"}, what="both to serve")
    a.health = 503
    until(lambda: house.nodes()["down"] == 1, what="the checks to take it out")
    unwell, = house.nodes()["unwell"]
    assert re.fullmatch(r"\d{4}-.*Z", unwell.pop("since"))
    assert unwell == {"url": a.http, "admin": False, "health": "down", "reason": "not_ready", "circuit": "closed"}
    assert house.metric("gateway_upstream_down{", endpoint=a.http) == 1
    assert house.metric("gateway_upstream_down{", endpoint=b.http) == 0
    assert house.metric("gateway_upstream_checks_total{", result="bad") >= 3
    assert {house.query().json()["node"] for _ in range(20)} == {"b"}
    a.health = 200
    until(lambda: house.nodes()["up"] == 2, what="the checks to bring it back")
    until(lambda: {house.query().json()["node"] for _ in range(4)} == {"a", "b"}, what="both to serve again")


def test_with_all_nodes_down_calls_fail_at_once(gateway, http_node):
    a = http_node()
    house = House(gateway, a.http, upstream__health__interval="50ms")
    a.health = 500
    until(lambda: house.nodes()["down"] == 1, what="the checks to take it out")
    r = house.query()
    assert code(r) == (503, "shard_unavailable") and int(r.headers["retry-after"]) > 0
    assert r.elapsed.total_seconds() < 5
    assert house.gw.call("GET", "/ready").status_code == 200  # the gateway itself is well
    a.health = 404  # knows no such path, but is there
    until(lambda: house.query().status_code == 200, what="the node to be asked again")


def test_a_stopped_node_is_found_out_without_a_call(gateway, nodes):
    """By the sample node's own answers, over HTTP and gRPC."""
    placed = Placed(lambda: gateway(config={"upstream.health.interval": "100ms", "upstream.health.timeout": "200ms"}),
                    nodes)
    status = lambda: placed.gw.admin("GET", "/admin/status", placed.token)["nodes"]
    until(lambda: status()["up"] == 2, what="HTTP and gRPC to be well")
    placed.a.process.signal(19)  # SIGSTOP: it still accepts, by the kernel
    until(lambda: status()["down"] == 2, what="both to be down")
    assert {n["reason"] for n in status()["unwell"]} == {"upstream_timeout"}
    placed.a.process.signal(18)
    until(lambda: status()["up"] == 2, what="both to be up again")
    placed.route(http=[placed.b.http], grpc_=[placed.b.grpc])  # only its runner still names a
    until(lambda: (status()["total"], status()["up"]) == (3, 3), what="the nodes of the new routing")


# ---- keys that change while the gateway runs


def took(call):
    began = time.monotonic()
    return call(), time.monotonic() - began


@pytest.fixture
def deaf():
    """An address where connections hang: its queue is full and nobody accepts."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(0)
        fill = []
        for _ in range(4):
            c = socket.socket()
            c.setblocking(False)
            c.connect_ex(s.getsockname())
            fill.append(c)
        yield f"http://127.0.0.1:{s.getsockname()[1]}"
        for c in fill:
            c.close()


def test_reload_connect_timeout(gateway, deaf):
    house = House(gateway, deaf, upstream__connect_timeout="15s")
    house.reload(upstream__connect_timeout="100ms")
    r, s = took(house.query)
    assert code(r) == (504, "upstream_timeout") and s < 9


def test_reload_first_byte_timeout(gateway, node):
    house = House(gateway, node.http)
    house.reload(upstream__first_byte_timeout="100ms")
    r, s = took(lambda: house.query("fault", {"mode": "delay", "ms": 20000}))
    assert code(r) == (504, "upstream_timeout") and s < 9


def test_reload_timeout(gateway, node):
    house = House(gateway, node.http)
    house.reload(upstream__timeout="200ms")
    r, s = took(lambda: house.query("fault", {"mode": "delay", "ms": 20000}))
    assert code(r) == (504, "upstream_timeout") and s < 9


def test_reload_idle_timeout(gateway, node):
    house = House(gateway, node.http)
    assert house.query().status_code == 200
    assert house.metric("gateway_upstream_connections", shard="p") == 1
    house.reload(upstream__idle_timeout="1s")
    until(lambda: house.metric("gateway_upstream_connections", shard="p") == 0, 30, "the idle connection to end")


def test_reload_max_connections(gateway, http_node):
    """What is configured holds for all workers together."""
    here, most, lock, gate = [0], [0], threading.Lock(), threading.Event()

    def answer(path, body):
        with lock:
            here[0] += 1
            most[0] = max(most[0], here[0])
        gate.wait(60)
        with lock:
            here[0] -= 1
        return 200, {}

    def crowd(n):
        threads = [threading.Thread(target=house.query) for _ in range(n)]
        for t in threads:
            t.start()
        return threads

    house = House(gateway, http_node(answer).http)
    threads = crowd(8)
    until(lambda: here[0] == 8, what="eight calls at once")
    house.reload(upstream__max_connections=3)
    gate.set()
    for t in threads:
        t.join()
    until(lambda: house.metric("gateway_upstream_connections", shard="p") <= 3, what="the others to be closed")
    gate.clear()
    most[0] = 0
    threads = crowd(12)
    until(lambda: here[0] >= 1, what="some calls")
    gate.set()
    for t in threads:
        t.join()
    assert most[0] <= 3
    bad = house.gw.replicas[0]
    bad.reload(upstream__max_connections=1)  # two workers
    until(lambda: any("upstream.max_connections: 1 is less than one for each of the 2 workers" in json.dumps(e)
                      for e in bad.log()), what="the refusal")


def test_reload_retry_budget(gateway, node):
    house = House(gateway, node.http)

    def tries():
        key = str(uuid.uuid4())
        assert house.query("fault", {"mode": "close", "key": key}).status_code == 502
        return node.count(key)
    assert tries() == 2
    house.reload(upstream__retry_budget=0)
    assert tries() == 1


def test_reload_health_interval_and_path(gateway, http_node):
    a = http_node()
    house = House(gateway, a.http)
    assert house.query().status_code == 200 and house.nodes()["unknown"] == 1 and a.checked == []
    house.reload(upstream__health__interval="50ms", upstream__health__path="/alive?x=1")
    until(lambda: house.nodes()["up"] == 1, what="the first check")
    assert set(a.checked) == {"/alive?x=1"}
    house.reload(upstream__health__path="/ready")
    until(lambda: a.checked[-1] == "/ready", what="the other path")
    house.reload(upstream__health__interval="0s")
    until(lambda: house.nodes()["unknown"] == 1, what="no more checks")


def test_reload_health_timeout(gateway, http_node):
    a = http_node()
    a.health_delay = 60
    house = House(gateway, a.http, upstream__health__interval="50ms", upstream__health__timeout="60s")
    until(lambda: a.checked, what="a check")
    assert house.nodes()["down"] == 0
    house.reload(upstream__health__timeout="50ms", upstream__health__interval="40ms")
    a.health_delay = 5  # the one that hangs is given up by its own time limit only
    other = http_node()
    other.health_delay = 5
    house.route(other.http)
    until(lambda: house.nodes()["down"] == 1, 30, "checks to time out")


def test_reload_health_rise_and_fall(gateway, http_node):
    a = http_node()
    house = House(gateway, a.http, upstream__health__interval="50ms", upstream__health__fall=100)
    until(lambda: house.nodes()["up"] == 1, what="the first check")
    a.health = 503
    n = len(a.checked)
    until(lambda: len(a.checked) > n + 10, what="ten bad checks")
    assert house.nodes()["up"] == 1
    house.reload(upstream__health__fall=1, upstream__health__rise=100)
    until(lambda: house.nodes()["down"] == 1, what="one to be enough")
    a.health, n = 200, len(a.checked)
    until(lambda: len(a.checked) > n + 10, what="ten good checks")
    assert house.nodes()["down"] == 1
    house.reload(upstream__health__rise=1)
    until(lambda: house.nodes()["up"] == 1, what="one to be enough")
