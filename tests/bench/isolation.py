#!/usr/bin/python3
"""What a storm of sign-ins does to proxied traffic, and what it gets itself. Each round has four parts of
equal length on the same cores: proxied queries at a fixed rate alone; the same beside clients that sign in
as fast as they can; the same beside the bare password library on as many threads as the gateway hashes on,
at the same nice value; and the bare library alone. Medians over the rounds are printed."""
import argparse
import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

from bench import query_url
from load import H2load
from table import table
from targets import PASSWORD, TENANT, USER, Gatewayd

from harness import paths, process
from harness.node import Node

NICE = 10  # of the gateway's own hashing threads (crypto/hasher.c)


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=int, default=4, help="of each part")
    p.add_argument("--rate", type=int, default=5000, help="proxied requests/s")
    p.add_argument("--clients", type=int, default=200, help="that sign in")
    p.add_argument("--hash-threads", type=int, default=1)
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="configuration of gatewayd")
    p.add_argument("--json", default="", help="also write the figures to this file")
    return p.parse_args()


def cores():
    """(gateway, paced load and node, sign-ins)"""
    have = sorted(os.sched_getaffinity(0))
    if len(have) < 4:
        every = ",".join(map(str, have))
        print(f"ONLY {len(have)} CORES: everything shares them, so the figures say little\n")
        return every, every, every
    return f"{have[0]},{have[1]}", str(have[2]), str(have[3])


def pin(pid, where):
    subprocess.run(["taskset", "-a", "-cp", where, str(pid)], check=True, stdout=subprocess.DEVNULL)


class SignIns:
    """Clients that sign in again as soon as they have an answer, whatever it says."""

    def __init__(self, directory, where, clients):
        self.log = directory / "sign-ins.tsv"
        body = directory / "sign-in.json"
        body.write_text(json.dumps({"email": USER, "password": PASSWORD}))
        self.argv = ["taskset", "-c", where, "h2load", "--h1", f"-c{clients}", "-m1", "-t1", "-d", str(body),
                     "-H", "content-type: application/json", "--log-file", str(self.log)]

    def start(self, target, seconds):
        self.log.unlink(missing_ok=True)
        self.running = subprocess.Popen([*self.argv, "-D", str(seconds), f"{target.http}/v1/auth/signin"],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def result(self, seconds):
        """{"served", "refused": a second; "served_p99", "refused_p99", "refused_max": ms; "other": answers}"""
        out = self.running.communicate(timeout=seconds + 60)[0]
        assert self.running.returncode == 0, out
        times = {}
        for line in self.log.read_text().splitlines():
            _, status, took = line.split("\t")
            times.setdefault(status, []).append(int(took) / 1000)
        served, refused = sorted(times.pop("200", [])), sorted(times.pop("503", []))
        return {"served": len(served) / seconds, "refused": len(refused) / seconds,
                "served_p99": served[len(served) * 99 // 100] if served else 0,
                "refused_p99": refused[len(refused) * 99 // 100] if refused else 0,
                "refused_max": refused[-1] if refused else 0, "other": sum(map(len, times.values()))}


def bare(library, where, threads, seconds):
    """The bare library in the background; finish(it) gives hashes a second."""
    return subprocess.Popen(["nice", "-n", str(NICE), "taskset", "-c", where, paths.built("hash-bench"), library,
                             str(threads), str(seconds)], stdout=subprocess.PIPE, text=True)


def finish(running):
    out = running.communicate(timeout=60)[0]
    assert running.returncode == 0
    return float(out)


def one_round(target, paced, sign_ins, where, opt):
    def load():
        return paced(target, query_url(target), opt.seconds)
    quiet = load()
    sign_ins.start(target, opt.seconds)
    storm = load()
    found = sign_ins.result(opt.seconds)
    hashing = bare("sodium", where, opt.hash_threads, opt.seconds)
    beside = load()
    both = finish(hashing)
    alone = finish(bare("sodium", where, opt.hash_threads, opt.seconds / 2))
    debian = finish(bare("argon2", where, opt.hash_threads, opt.seconds / 2))
    return {"quiet p50": quiet.p50, "quiet p99": quiet.p99, "storm p50": storm.p50, "storm p99": storm.p99,
            "bare p50": beside.p50, "bare p99": beside.p99, "p99 ratio": storm.p99 / quiet.p99,
            "failed": quiet.failed + storm.failed + beside.failed, "rate": storm.rate,
            "bare beside": both, "bare alone": alone, "libargon2 alone": debian, "share": found["served"] / both,
            **found}


def show(f, opt):
    print(table(f"proxied queries, {opt.rate} a second offered", ["", "requests/s", "p50 ms", "p99 ms", "p99 / alone"], [
        ["alone", opt.rate, f["quiet p50"], f["quiet p99"], ""],
        [f"beside {opt.clients} clients that sign in", f["rate"], f["storm p50"], f["storm p99"],
         f"x {f['p99 ratio']:.2f}"],
        ["beside the bare password library", opt.rate, f["bare p50"], f["bare p99"],
         f"x {f['bare p99'] / f['quiet p99']:.2f}"]]))
    print(table(f"passwords hashed on {opt.hash_threads} thread(s)", ["", "a second", "of the bare library"], [
        ["sign-ins of the gateway", f["served"], f"{100 * f['share']:.1f} %"],
        ["bare libsodium beside the same queries", f["bare beside"], "100 %"],
        ["bare libsodium alone", f["bare alone"], ""],
        ["Debian's libargon2 alone", f["libargon2 alone"], f"libsodium is x {f['bare alone'] / f['libargon2 alone']:.2f}"]]))
    print(table("sign-ins that were refused with 503", ["", "a second", "p99 ms", "longest ms", "other answers"], [
        ["refused", f["refused"], f["refused_p99"], f["refused_max"], int(f["other"])],
        ["served", f["served"], f["served_p99"], None, None]]))
    if f["failed"]:
        print(f"{int(f['failed'])} PROXIED REQUESTS FAILED\n")


def measure(opt, directory):
    gateway, near, far = cores()
    print(f"gateway and its hashing on cores {gateway}; queries and node on {near}; sign-ins on {far}\n"
          f"{opt.rounds} rounds of 4 parts of {opt.seconds} s\n")
    node = Node(directory, threads=1)
    pin(node.process.pid, near)
    config = {"auth.hash_threads": opt.hash_threads, "limits.attempts_per_address": 0,
              "limits.attempts_per_account": 0, **dict(pair.split("=", 1) for pair in opt.set)}
    target = Gatewayd(node, directory, gateway, config)
    headers = {"x-tenant-id": TENANT, "content-type": "application/json"}
    paced = H2load(directory, near, headers, b'{"aggregate_type":"order","limit":2}', 64, 1, threads=1, h1=True,
                   rate=opt.rate)
    sign_ins = SignIns(directory, far, opt.clients)
    paced(target, query_url(target), 1)
    rounds = [one_round(target, paced, sign_ins, gateway, opt) for _ in range(opt.rounds)]
    target.stop()
    return {k: statistics.median(r[k] for r in rounds) for k in rounds[0]}


def main():
    opt = options()
    with tempfile.TemporaryDirectory(prefix="gw-bench-") as directory:
        try:
            figures = measure(opt, Path(directory))
        finally:
            for p in process.started:
                p.kill()
    show(figures, opt)
    if opt.json:
        Path(opt.json).write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
