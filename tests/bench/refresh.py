#!/usr/bin/python3
"""Refreshes a second, each durable when it is answered: 64 clients, each with a session, trading the
token of one answer for the next. One gatewayd on SQLite, on two cores; two gateways on three rqlite
nodes, on all cores that there are."""
import argparse
import concurrent.futures
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import cores
from meter import cpu_seconds
from table import table
from targets import Gateway

from harness import paths, process
from harness.caller import Caller
from harness.rqlite import Rqlite

PASSWORD = "seventeen slow turtles"
CHEAP = {"auth.argon2.memory_kib": 8, "auth.argon2.iterations": 1,
         "limits.attempts_per_address": 0, "limits.attempts_per_account": 0}
LIMITS = {"sqlite": 15000, "rqlite": 5000}


class Bench:
    def __init__(self, directory, store, on, opt):
        self.store, self.opt = store, opt
        directory.mkdir(parents=True)
        self.rqlite = Rqlite(directory) if store == "rqlite" else None
        config = dict(pair.split("=", 1) for pair in opt.set)
        self.gateway = Gateway(directory / "gateway", store, rqlite=self.rqlite, start=False,
                               replicas=2 if self.rqlite else 1, config={**CHEAP, **config})
        self.gateway.prepare()
        for replica in self.gateway.replicas:
            if on:
                replica.process.argv = ["taskset", "-c", on, *replica.process.argv]
            replica.start()
        self.users = self.make_users()

    def make_users(self):
        root = self.gateway.signin()["access_token"]
        caller, users = Caller(self.gateway), []
        for n in range(self.opt.clients):
            users.append(f"user{n}@example.test")
            caller.must(0, "POST", "/admin/users", {"email": users[-1], "password": PASSWORD}, root)
        return users

    def signin_all(self):
        def some(users):
            caller = Caller(self.gateway)
            return [caller.signin(u, PASSWORD)["refresh_token"] for u in users]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            return [t for some in pool.map(some, [self.users[i::4] for i in range(4)]) for t in some]

    def pids(self):
        nodes = self.rqlite.nodes if self.rqlite else []
        return [p.process.pid for p in (*self.gateway.replicas, *nodes)]

    def round(self, load_on):
        ports = ",".join(str(r.port()) for r in self.gateway.replicas)
        argv = ["taskset", "-c", load_on, paths.built("refresh-load"), str(self.opt.seconds), ports]
        tokens = self.signin_all()
        before = [cpu_seconds(p) for p in self.pids()]
        p = subprocess.run(argv, input="\n".join(tokens), capture_output=True, text=True,
                           timeout=self.opt.seconds + 60)
        assert p.returncode == 0, p.stderr
        if p.stderr:
            print(p.stderr, file=sys.stderr)
        result = json.loads(p.stdout)
        spent = [(cpu_seconds(p) - b) * 1e6 / max(result["requests"], 1) for p, b in zip(self.pids(), before)]
        gateways = len(self.gateway.replicas)
        return {**result, "cpu": sum(spent[:gateways]), "nodes": sum(spent[gateways:])}

    def stop(self):
        self.gateway.stop()
        if self.rqlite:
            self.rqlite.stop()


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=4)
    p.add_argument("--clients", type=int, default=64)
    p.add_argument("--stores", default="sqlite,rqlite")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="configuration of gatewayd")
    p.add_argument("--directory", help="where the stores are made (a disk; default: that of temporary files)")
    return p.parse_args()


def main():
    opt, rows = options(), []
    proxy, rest, note = cores()
    every = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    print(note)
    with tempfile.TemporaryDirectory(prefix="gateway-bench-", dir=opt.directory) as directory:
        try:
            for store in opt.stores.split(","):
                bench = Bench(Path(directory) / store, store, proxy if store == "sqlite" else None, opt)
                runs = [bench.round(rest if store == "sqlite" else every) for _ in range(opt.rounds)]
                bench.stop()
                m = {k: statistics.median(r[k] for r in runs) for k in runs[0]}
                rows.append([store, m["rate"], max(r["rate"] for r in runs), m["p50"], m["p99"], m["cpu"],
                             m["nodes"], int(m["failed"]), LIMITS[store]])
        finally:
            for p in process.started:
                p.kill()
    print(table(f"Durable refreshes, {opt.clients} clients", ["", "median/s", "best/s", "p50 ms", "p99 ms",
                                                               "cpu us gatewayd", "rqlite", "failed",
                                                               "aim"], rows))


if __name__ == "__main__":
    main()
