#!/usr/bin/python3
"""What size costs: gatewayd on a small data set and on one of a million users, under the same load on
the same cores. Builds both straight into SQLite files. --factor 0.01 is a quick run."""
import argparse
import http.client
import json
import os
import sqlite3
import statistics
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from bench import admin_ready, cores
from load import H2load, Wrk, lua
from meter import cpu_seconds, rss_mib, time_to
from table import table
from targets import PASSWORD

from harness import process
from harness.gateway import Gateway
from harness.node import Node
from harness.wait import until

SMALL = {"users": 1000, "tenants": 100, "assignments": 1000, "placements": 100}
LARGE = {"users": 1_000_000, "tenants": 10_000, "assignments": 1_000_000, "placements": 100_000}
CALLERS = 50    # users whose tokens the load carries, each of another tenant
PAGE = 500      # items of a page of an admin list
MOVED = 0       # number of the tenant that is moved to and fro
PATCH, ECHOED, WHOLE = "patch", "patch, document echoed", "whole document"
CHANGES = {PATCH: 40, ECHOED: 10, WHOLE: 6}  # how the tenant is moved, and how many times
FIRST_MS = 1_700_000_000_000

ROTATE = """
wrk.method = "POST"
wrk.body = "{}"
local callers, n = {%s}, 0
request = function()
    n = n %% #callers + 1
    return wrk.format(nil, nil, {["content-type"] = "application/json", ["authorization"] = callers[n][1],
                                 ["x-tenant-id"] = callers[n][2]})
end
"""


def uid(kind, n):
    """A UUIDv7 that grows with n, so that the rows come in the order of their table."""
    return (FIRST_MS + n).to_bytes(6, "big") + b"\x70" + bytes([kind]) + b"\x80" + n.to_bytes(7, "big")


def tenant_name(n):
    return f"t{n:06}"


def email(n):
    return f"user{n:07}@example.test"


class Data:
    """A data set in the SQLite file of a gateway that does not run yet."""

    def __init__(self, path, size, nodes):
        self.size, self.nodes = size, nodes
        self.db = sqlite3.connect(path, isolation_level=None)
        for pragma in ("synchronous = OFF", "cache_size = -1000000", "temp_store = MEMORY"):
            self.db.execute(f"PRAGMA {pragma}")
        self.phc, = self.db.execute("SELECT password_phc FROM user").fetchone()  # of PASSWORD
        self.db.execute("BEGIN")
        for fill in (self.tenants, self.users, self.assignments, self.routing):
            fill()
        self.db.execute("COMMIT")
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.close()

    def tenants(self):
        self.db.executemany("INSERT INTO tenant (id, name, created_at, updated_at) VALUES (?, ?, 1, 1)",
                            ((tenant_name(n), f"Tenant {n}") for n in range(self.size["tenants"])))

    def users(self):
        self.db.executemany(
            "INSERT INTO user (id, email, email_fold, password_phc, email_verified_at, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, 1, 1, 1)",
            ((uid(1, n), email(n), email(n), self.phc) for n in range(self.size["users"])))

    def assignments(self):
        users, tenants = self.size["users"], self.size["tenants"]
        self.db.executemany(
            "INSERT INTO assignment (id, principal, tenant, role, created_at) VALUES (?, ?, ?, 'tenant-member', 1)",
            ((uid(2, n), uid(1, n % users), tenant_name(n % tenants)) for n in range(self.size["assignments"])))

    def routing(self):
        document = {"revision": 1}
        for kind, prefix, url in (("aggregate", "a", "grpc"), ("projection", "p", "http"), ("runner", "r", "http")):
            document[f"{kind}_placement"] = {tenant_name(n): f"{prefix}1" for n in range(self.size["placements"])}
            document[f"{kind}_shards"] = {f"{prefix}{i + 1}": [getattr(node, url)] for i, node in enumerate(self.nodes)}
        self.db.execute("INSERT INTO routing_revision (revision, document, at) VALUES (1, ?, 1)",
                        (json.dumps(document, separators=(",", ":")),))


class Target:
    """gatewayd on one data set, with the tokens of some of its users."""

    def __init__(self, directory, name, size, nodes, proxy_cores):
        self.name, self.size = name, size
        self.gateway = Gateway(directory / name, start=False, config={
            "workers": 2, "auth.access_ttl": "1h", "limits.body": "64MiB"})
        self.gateway.write("admin-password", PASSWORD)
        self.gateway.prepare()
        begin = time.perf_counter()
        self.path = directory / name / "gateway.db"
        Data(self.path, size, nodes)
        self.built = time.perf_counter() - begin
        self.replica = self.gateway.replicas[0]
        self.replica.process.argv = ["taskset", "-c", proxy_cores, *self.replica.process.argv]
        self.replica.start()
        step = max(size["tenants"] // CALLERS, 1)
        self.callers = [n * step for n in range(CALLERS)]  # user n is a member of tenant n

    @property
    def pid(self):
        return self.replica.process.pid

    def time_start(self, times=3):
        """Seconds from exec to /ready; and MiB resident then."""
        took = []
        for _ in range(times):
            self.replica.stop()
            for listener, address in self.replica.address.items():
                self.replica.config[f"listen.{listener}"] = address
            self.replica.write_config()
            took.append(time_to(admin_ready(self.replica.address["admin"]), self.replica.process.start))
        return statistics.median(took), rss_mib(self.pid)

    def sign_in(self):
        with ThreadPoolExecutor(4) as pool:
            sets = list(pool.map(lambda n: self.gateway.signin(email(n), PASSWORD), self.callers))
        self.tokens = [s["access_token"] for s in sets]
        self.token = self.tokens[0]
        self.root = self.gateway.signin(password=PASSWORD)["access_token"]

    def first_queries(self):
        """Milliseconds of the first query of each caller, whose rights nothing remembers yet."""
        took = []
        with requests.Session() as s:
            for n, token in zip(self.callers, self.tokens):
                begin = time.perf_counter()
                r = s.post(f"{self.replica.http}/v1/query/bench", json={}, timeout=10,
                           headers={"authorization": f"Bearer {token}", "x-tenant-id": tenant_name(n)})
                took.append(1000 * (time.perf_counter() - begin))
                assert r.status_code == 200, r.text
        return statistics.median(took)


class Rotating(Wrk):
    """wrk whose requests carry the tokens of all callers in turn."""

    def script(self, target):
        path = os.path.join(self.directory, f"rotate-{target.pid}.lua")
        pairs = ", ".join(f"{{{lua(f'Bearer {token}')}, {lua(tenant_name(n))}}}"
                          for n, token in zip(target.callers, target.tokens))
        with open(path, "w") as f:
            f.write(ROTATE % pairs)
        return path


def measure_rates(targets, load, opt):
    """{name: (rate, p99, microseconds of processor a request)}, medians of rounds in turns."""
    runs = {t.name: [] for t in targets}
    for n in range(opt.rounds + 1):
        for t in targets[n % 2:] + targets[:n % 2]:
            begin = cpu_seconds(t.pid)
            result = load(t, f"{t.replica.http}/v1/query/bench", opt.seconds)
            cpu = 1e6 * (cpu_seconds(t.pid) - begin) / (result.rate * opt.seconds)
            assert not result.failed, f"{t.name}: {result.failed} requests failed"
            runs[t.name] += [(result.rate, result.p99, cpu)] if n else []  # the first fills caches and pools
    return {name: tuple(map(statistics.median, zip(*rs))) for name, rs in runs.items()}


class Client:
    """One keep-alive connection that asks which node answers; http.client costs less than what is measured."""

    def __init__(self, target):
        self.http = http.client.HTTPConnection(target.replica.http.removeprefix("http://"), timeout=20)
        self.headers = {"authorization": f"Bearer {target.token}", "x-tenant-id": tenant_name(MOVED),
                        "content-type": "application/json"}

    def node(self):
        self.http.request("POST", "/v1/query/echo", b"{}", self.headers)
        r = self.http.getresponse()
        body = r.read()
        assert r.status == 200, body
        return json.loads(body)["node"]


class Change:
    """Moves one tenant to another shard and watches it from outside, on many connections at once."""

    CONNECTIONS = 16  # more than workers, so that every worker has one

    def __init__(self, target):
        self.target, self.clients = target, [Client(target) for _ in range(self.CONNECTIONS)]
        self.document = target.gateway.admin("GET", "/admin/routing", target.root)

    def body(self, how, shard):
        self.document["revision"] += 1
        self.document["projection_placement"][tenant_name(MOVED)] = shard
        if how == WHOLE:
            return "application/json", json.dumps(self.document, separators=(",", ":")).encode()
        return "application/merge-patch+json", json.dumps(
            {"revision": self.document["revision"], "projection_placement": {tenant_name(MOVED): shard}}).encode()

    def put(self, how, content_type, body):
        r = self.target.gateway.call(
            "PUT", "/admin/routing", token=self.target.root, listener="admin", timeout=60, data=body,
            headers={"content-type": content_type, **({} if how == ECHOED else {"prefer": "return=minimal"})})
        self.answered = time.time()
        assert r.status_code == 200, r.text

    def watch_commit(self, revision):
        db = sqlite3.connect(f"file:{self.target.path}?mode=ro", uri=True)
        until(lambda: db.execute("SELECT max(revision) FROM routing_revision").fetchone()[0] >= revision,
              60, f"revision {revision} to be in the store", step=0.0005)
        self.committed = time.time()
        db.close()

    def __call__(self, how, shard, name):
        """(begin, committed, live, answered): wall seconds; live is when every connection has met the new node."""
        content_type, body = self.body(how, shard)
        threads = [threading.Thread(target=self.watch_commit, args=[self.document["revision"]]),
                   threading.Thread(target=self.put, args=[how, content_type, body])]
        begin = time.time()
        for t in threads:
            t.start()
        waiting = self.clients
        while waiting:
            waiting = [c for c in waiting if c.node() != name]
            live = time.time()
            assert live < begin + 30, "the change is not live"
        for t in threads:
            t.join()
        return begin, self.committed, live, self.answered


def percentile(values, part):
    values = sorted(values)
    return values[int(len(values) * part)] if values else None


def split(log, spans):
    """Milliseconds of the logged requests that overlap none of the spans, and of those that overlap each kind."""
    apart, during = [], {how: [] for how in spans}
    with open(log) as f:
        for line in f:
            start, _, took = map(int, line.split())
            inside = [how for how, times in spans.items()
                      if any(begin <= (start + took) / 1e6 and start / 1e6 <= max(live, answered)
                             for begin, _, live, answered in times)]
            for values in [during[how] for how in inside] or [apart]:
                values.append(took / 1000)
    return apart, during


def measure_changes(target, load, nodes, seconds):
    """Milliseconds of moves of one tenant under paced load, and p99 of that load apart from them and in them."""
    thread = threading.Thread(target=load, args=[target, f"{target.replica.http}/v1/query/bench", seconds])
    change = Change(target)
    thread.start()
    for c in change.clients:
        c.node()
    spans = {how: [] for how in CHANGES}
    for how, times in CHANGES.items():
        for _ in range(times):
            where = (change.document["revision"]) % 2
            spans[how].append(change(how, f"p{where + 1}", nodes[where].name))
    inside_load = thread.is_alive()
    thread.join()
    assert inside_load, f"the changes took longer than {seconds} s of load"
    apart, during = split(load.log, spans)
    ms = lambda values: 1000 * statistics.median(values)  # noqa: E731
    figures = {"p99 of traffic between changes, ms": percentile(apart, 0.99)}
    for how, times in spans.items():
        figures[f"{how}: PUT → commit, ms"] = ms(c - b for b, c, _, _ in times)
        figures[f"{how}: PUT → live everywhere, ms"] = ms(live - b for b, _, live, _ in times)
        figures[f"{how}: slowest of {len(times)}, ms"] = 1000 * max(live - b for b, _, live, _ in times)
        figures[f"{how}: PUT → answer, ms"] = ms(a - b for b, _, _, a in times)
        figures[f"{how}: p99 of traffic meanwhile, ms"] = percentile(during[how], 0.99)
    return figures


def walk(target, path):
    """Milliseconds of each page of an admin list, from the first to the last."""
    took, token = [], None
    with requests.Session() as s:
        s.headers["authorization"] = f"Bearer {target.root}"
        while token or not took:
            begin = time.perf_counter()
            r = s.get(target.replica.admin + path, timeout=20,
                      params={"page_size": PAGE, **({"page_token": token} if token else {})})
            took.append(1000 * (time.perf_counter() - begin))
            assert r.status_code == 200, r.text
            token = r.json()["next_page_token"]
    return took


def measure_pages(target):
    out = {}
    for path in ("/admin/users", "/admin/assignments"):
        took = walk(target, path)
        edge = min(20, max(len(took) // 2, 1))
        out[f"{path}: first pages of {PAGE}, ms"] = statistics.median(took[:edge])
        out[f"{path}: last pages, ms"] = statistics.median(took[-edge - 1:-1] or took)
    return out


def measure(targets, nodes, directory, load_cores, opt):
    figures = {t.name: {"building the data set, s": t.built} for t in targets}
    for t in targets:
        seconds, mib = t.time_start()
        figures[t.name].update({"exec → /ready, s": seconds, "RSS when ready, MiB": mib})
        t.sign_in()
        figures[t.name]["first query of a user, ms"] = t.first_queries()
    wrk = Rotating(directory, load_cores, {}, "", connections=64)
    for name, (rate, p99, cpu) in measure_rates(targets, wrk, opt).items():
        figures[name].update({"authorized queries/s": rate, "p99, ms": p99, "processor a query, us": cpu})
    for t in targets:
        headers = {"x-tenant-id": tenant_name(MOVED), "content-type": "application/json"}
        paced = H2load(directory, load_cores, headers, b"{}", 32, 1, h1=True, rate=opt.rate)
        figures[t.name].update(measure_changes(t, paced, nodes, opt.change_seconds))
        figures[t.name].update(measure_pages(t))
        figures[t.name]["RSS at the end, MiB"] = rss_mib(t.pid)
    return figures


def options():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--factor", type=float, default=1.0, help="of the large data set's size")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=int, default=3, help="of load in each round and data set")
    p.add_argument("--rate", type=int, default=4000, help="requests/s while the routing changes")
    p.add_argument("--change-seconds", type=int, default=15, help="of load around the routing changes")
    p.add_argument("--json", default="", help="also write the figures to this file")
    return p.parse_args()


def run(opt, directory):
    proxy_cores, load_cores, note = cores()
    large = {k: max(int(n * opt.factor), SMALL[k]) for k, n in LARGE.items()}
    print(note, *(f"{name}: " + ", ".join(f"{n:,} {k}" for k, n in size.items()) + (" a kind" if size else "")
                  for name, size in (("small", SMALL), ("large", large))), sep="\n")
    try:
        nodes = [Node(directory, name) for name in ("one", "two")]
        for node in nodes:
            subprocess.run(["taskset", "-a", "-cp", load_cores, str(node.process.pid)], check=True,
                           stdout=subprocess.DEVNULL)
        targets = [Target(directory, "small", SMALL, nodes, proxy_cores),
                   Target(directory, "large", large, nodes, proxy_cores)]
        figures = measure(targets, nodes, directory, load_cores, opt)
        for t in targets:
            t.gateway.stop()
    finally:
        for p in process.started:
            p.kill()
    print(table("", ["", "small", "large"],
                [[what, figures["small"][what], figures["large"][what]] for what in figures["small"]]))
    if opt.json:
        Path(opt.json).write_text(json.dumps(figures, indent=1))


def main():
    with tempfile.TemporaryDirectory(prefix="gw-scale-") as directory:
        run(options(), Path(directory))


if __name__ == "__main__":
    main()
