"""Nodes that are stopped, killed, slowed, and cut off in the middle of everything, under load over HTTP and gRPC:
every answer belongs to its request, nothing hangs, no command reaches nodes more often than the contract allows,
and callers see 502, 503 and 504 with the codes for it, nothing else.

CHAOS_SECONDS=60 CHAOS_SEED=7 (see `make chaos`)"""
import collections
import http.client
import itertools
import json
import os
import random
import signal
import sys
import threading
import time
import uuid

import grpc

from harness.placed import Placed
from harness.process import Process
from harness.wait import until

SECONDS = float(os.environ.get("CHAOS_SECONDS", 6))
SEED = int(os.environ.get("CHAOS_SEED", time.time_ns() % 100_000))
LIMIT = 3.0  # seconds that a request may take
SLACK = 4.0  # that this machine may take for everything around it
ALLOWED = {(502, "upstream_unavailable"), (502, "bad_upstream"), (503, "shard_unavailable"), (504, "upstream_timeout")}
ALLOWED_GRPC = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.INTERNAL}
CONFIG = {
    "workers": 2, "upstream.connect_timeout": "500ms", "upstream.first_byte_timeout": "1s", "upstream.timeout": "3s",
    "upstream.idle_timeout": "1s", "upstream.max_connections": 64, "upstream.health.interval": "500ms",
    "upstream.health.timeout": "500ms", "limits.body": "4MiB", "access_log": False,
}


class Load:
    """Clients of all kinds until told to stop, and what they saw."""

    def __init__(self, placed, protos):
        self.placed, self.protos = placed, protos
        self.over, self.lock = threading.Event(), threading.Lock()
        self.outcomes, self.wrong, self.slowest = collections.Counter(), [], 0.0
        self.commands = {}  # command_id → how it ended
        self.numbers = itertools.count()
        self.threads = []

    def note(self, kind, outcome, began, wrong=None):
        took = time.monotonic() - began
        with self.lock:
            self.outcomes[kind, outcome] += 1
            self.slowest = max(self.slowest, took)
            if wrong:
                self.wrong.append((kind, outcome, wrong))
            if took > LIMIT + SLACK:
                self.wrong.append((kind, outcome, f"took {took:.1f} s"))

    def client(self, step, *args):
        t = threading.Thread(target=self.run, args=(step, *args))
        self.threads.append(t)
        t.start()

    def run(self, step, *args):
        rnd = random.Random(f"{SEED}/{len(self.threads)}")
        host, port = self.placed.gw.replicas[0].address["http"].rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=LIMIT + SLACK)
        while not self.over.is_set():
            try:
                step(rnd, connection, *args)
            except Exception as e:
                with self.lock:
                    self.wrong.append((step.__name__, repr(e)))
        connection.close()

    def post(self, kind, connection, path, tenant, body, check):
        """check(answer) says what is wrong with a 200, or nothing. Returns the status, None: the answer broke off."""
        began = time.monotonic()
        headers = {"authorization": f"Bearer {self.placed.token}", "x-tenant-id": tenant,
                   "content-type": "application/json", "x-request-timeout-ms": str(int(LIMIT * 1000))}
        data = json.dumps(body)
        try:
            connection.request("POST", path, data, headers)
            r = connection.getresponse()
            answer = r.read()
        except (http.client.IncompleteRead, http.client.RemoteDisconnected, ConnectionError) as e:
            connection.close()
            # a large answer breaks off where the node's did: the head was sent by then
            self.note(kind, "broke off", began, None if isinstance(e, http.client.IncompleteRead) and len(data) > 60_000
                      else f"{e!r} for {len(data)} bytes")
            return None
        if r.status == 200:
            self.note(kind, "ok", began, check(json.loads(answer)))
        else:
            code = json.loads(answer).get("code")
            self.note(kind, f"{r.status} {code}", began, None if (r.status, code) in ALLOWED else answer[:300])
        return r.status

    def query(self, rnd, connection, tenant):
        pad = "x" * rnd.choice((0, 10, 1000, 5000, 70_000 if tenant == "acme" else 5000))
        body = {"n": next(self.numbers), "pad": pad}

        def check(answer):
            if answer["body"] != body:
                return f"sent {body['n']}, got {str(answer)[:300]}"
        self.post(f"query/{tenant}", connection, "/v1/query/echo", tenant, body, check)

    def command(self, rnd, connection, tenant):
        number, command_id = next(self.numbers), str(uuid.UUID(int=rnd.getrandbits(128), version=4))
        body = {"command_id": command_id, "command_type": "place", "payload": {"n": number}}

        def check(answer):
            if answer["command_id"] != command_id or answer["events"][0]["payload"] != {"n": number}:
                return f"sent {body}, got {answer}"
        status = self.post(f"command/{tenant}", connection, f"/v1/commands/order/{number}", tenant, body, check)
        with self.lock:
            self.commands[command_id] = status

    def grpc_command(self, rnd, connection, client):
        number, command_id = next(self.numbers), str(uuid.UUID(int=rnd.getrandbits(128), version=4))
        began, status = time.monotonic(), 200
        try:
            answer = client.submit(command_id=command_id, aggregate_type="order", aggregate_id=str(number),
                                   command_type="place", payload=b'{"n":%d}' % number, tenant="acme",
                                   token=self.placed.token, timeout=LIMIT)
            right = answer.command_id == command_id and answer.events[0].payload == b'{"n":%d}' % number
            self.note("grpc", "ok", began, None if right else f"sent {command_id}, {number}, got {answer}")
        except grpc.RpcError as e:
            status = e.code()
            self.note("grpc", f"{status.name}", began, None if status in ALLOWED_GRPC else e.details())
        with self.lock:
            self.commands[command_id] = status

    def start(self):
        for tenant in ("acme", "beta"):
            for _ in range(6):
                self.client(self.query, tenant)
            for _ in range(4):
                self.client(self.command, tenant)
        self.channels = [self.protos.client(self.placed.gw.replicas[0].grpc) for _ in range(2)]
        for client in self.channels * 2:
            self.client(self.grpc_command, client)

    def stop(self):
        self.over.set()
        for t in self.threads:
            t.join(LIMIT + SLACK + 5)
        hung = [t for t in self.threads if t.is_alive()]
        for c in self.channels:
            c.channel.close()
        assert not hung, f"{len(hung)} clients hang"

    def served(self):
        with self.lock:
            return sum(n for (_, outcome), n in self.outcomes.items() if outcome == "ok")


def torment(node, rnd, until_when):
    """What happens to a node's process, again and again; it is well when this returns."""
    over = threading.Event()
    while time.monotonic() < until_when:
        over.wait(rnd.uniform(0.2, 0.6))
        act = rnd.choice(("freeze", "crash", "end"))
        if act == "freeze":
            node.process.signal(signal.SIGSTOP)
            over.wait(rnd.uniform(0.1, 1.5))
            node.process.signal(signal.SIGCONT)
        else:
            node.kill() if act == "crash" else node.stop()
            over.wait(rnd.uniform(0, 0.7))
            node.start()


def test_chaos(gateway, nodes, tmp_path, protos):
    print(f"CHAOS_SEED={SEED} CHAOS_SECONDS={SECONDS}")
    placed = Placed(lambda: gateway(config=CONFIG), nodes)
    c, = nodes("c")
    three = (placed.a, placed.b, c)
    targets = [n.address[what] + ("=clean" if n is c else "") for what in ("http", "grpc") for n in three]
    relay = Process("unruly", [sys.executable, "-m", "harness.unruly", SEED, *targets], tmp_path,
                    cwd=os.path.dirname(__file__)).start()
    relay.expect(r"^ready$")
    ports = [line.split()[2] for line in relay.output().splitlines() if line.startswith("listening ")]
    placed.route(http=[f"http://127.0.0.1:{p}" for p in ports[:3]], grpc_=[f"grpc://127.0.0.1:{p}" for p in ports[3:]])
    status = lambda: placed.gw.admin("GET", "/admin/status", placed.token)["nodes"]
    until(lambda: status()["up"] >= 6, what="all nodes to be up")

    load = Load(placed, protos)
    load.start()
    end = time.monotonic() + SECONDS * 2 / 3
    tormentors = [threading.Thread(target=torment, args=(n, random.Random(f"{SEED}/{n.name}"), end))
                  for n in (placed.a, placed.b)]
    for t in tormentors:
        t.start()
    while time.monotonic() < end:  # the third node is well: there is always somebody served
        before = load.served()
        until(lambda: load.served() > before, what="anybody to be served")
    for t in tormentors:
        t.join()
    with load.lock:
        failed = sum(n for (_, outcome), n in load.outcomes.items() if outcome != "ok")
        assert failed < 0.1 * sum(load.outcomes.values()), load.outcomes
    relay.signal(signal.SIGUSR2)  # now nobody is well
    load.over.wait(SECONDS / 3)
    relay.signal(signal.SIGUSR1)  # all is well again: so it is for callers, soon
    until(lambda: status()["circuits_open"] + status()["circuits_half_open"] + status()["down"] == 0,
          what="the gateway to find its nodes again")
    load.stop()
    for _ in range(30):
        assert placed.query("echo").status_code == 200 and placed.command().status_code == 200
        assert placed.query("echo", tenant="beta").status_code == 200
    relay.stop()
    seen = json.loads(next(line for line in relay.output().splitlines() if line.startswith('{"seen"')))
    for (kind, outcome), n in sorted(load.outcomes.items()):
        print(f"{kind:14} {outcome:28} {n}")
    print(f"slowest {load.slowest:.2f} s; faults {seen['did']}")
    assert not load.wrong, (SEED, len(load.wrong), load.wrong[:5])
    passed = {k: seen["seen"].get(k, 0) for k in load.commands}
    assert not {k: n for k, n in passed.items() if n > 2}, "a command was passed on more than twice"
    assert not [k for k, status in load.commands.items() if status == 200 and passed[k] == 0]
