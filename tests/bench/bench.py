#!/usr/bin/python3
"""Compares gatewayd with HAProxy and nginx on the same cores, with the same node behind them and the
same load before them, in alternating rounds; prints medians. Every option can also be set in the
environment: --rounds is BENCH_ROUNDS, and so on."""
import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jwt
import requests
from jwcrypto import jwk

from load import H2load, Wrk
from meter import allocations, cpu_seconds, rss_mib, system_calls, time_to
from table import table
from targets import TENANT, Direct, Gatewayd, Haproxy, Nginx

from harness import paths, process
from harness.node import Node
from harness.protos import Protos

SECTIONS = ("http", "grpc", "paced", "costs", "start")
RIVALS = ("HAProxy plain", "HAProxy ES256", "nginx plain")


def options():
    def env(name, default):
        return os.environ.get(f"BENCH_{name.upper()}", default)
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=env("rounds", 5))
    p.add_argument("--seconds", type=int, default=env("seconds", 4), help="of load in each round and target")
    p.add_argument("--connections", type=int, default=env("connections", 64), help="of wrk")
    p.add_argument("--rate", type=int, default=env("rate", 20000), help="requests/s of the section paced")
    p.add_argument("--sections", default=env("sections", ",".join(SECTIONS)), help=",".join(SECTIONS))
    p.add_argument("--targets", default=env("targets", ""), help="only those whose name contains one of these words")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="configuration of gatewayd")
    p.add_argument("--json", default=env("json", ""), help="also write the figures to this file")
    return p.parse_args()


def cores():
    """(proxy, load and node, note): two cores for the proxy; the rest, when there are any, for the others."""
    have = sorted(os.sched_getaffinity(0))
    proxy = ",".join(map(str, have[:2]))
    if len(have) >= 4:
        rest = ",".join(map(str, have[2:4]))
        return proxy, rest, f"proxy on cores {proxy}; load generator and node together on {rest}"
    every = ",".join(map(str, have))
    return proxy, every, f"ONLY {len(have)} CORES: proxy, load generator and node share them; compare ratios only"


def foreign_token(directory):
    """A key pair and a token like gatewayd's, for when gatewayd is not there to sign one."""
    key = jwk.JWK.generate(kty="EC", crv="P-256", kid="bench")
    now = int(time.time())
    claims = {"iss": "http://gateway.test", "aud": "gateway", "sub": "019a0000-0000-7000-8000-000000000001",
              "sid": "019a0000-0000-7000-8000-000000000002", "iat": now, "exp": now + 3600,
              "jti": "019a0000-0000-7000-8000-000000000003", "amr": ["pwd"], "auth_time": now}
    token = jwt.encode(claims, key.export_to_pem(private_key=True, password=None), algorithm="ES256",
                       headers={"kid": "bench", "typ": "at+jwt"})
    return token, write_pem(directory, key)


def write_pem(directory, key):
    path = directory / "gateway-public.pem"
    path.write_bytes(key.export_to_pem())
    return path


def gateway_key(directory, gatewayd):
    """The public key that signed the gateway's token, from its JWKS, for HAProxy."""
    kid = jwt.get_unverified_header(gatewayd.token)["kid"]
    found, = [k for k in gatewayd.jwks() if k["kid"] == kid]
    return write_pem(directory, jwk.JWK(**found))


COMMAND = {"command_id": "019a0000-0000-7000-8000-00000000000a", "aggregate_type": "order", "aggregate_id": "o-1",
           "command_type": "place", "payload": b'{"sku":"a-1","quantity":2}'}


def check(targets, protos, headers, body):
    """Every target must give the node's own answers; the size of the gRPC one."""
    right = None
    for t in targets:
        r = requests.post(query_url(t), data=body, timeout=10,
                          headers={**headers, "authorization": f"Bearer {t.token}"})
        with protos.client(t.grpc.removeprefix("http://")) as client:
            answer = client.submit(TENANT, token=t.token, **COMMAND)
        if right is None:
            right = (r.content, answer)
        assert r.status_code == 200 and (r.content, answer) == right, f"{t.name}: {r.status_code} {r.text}\n{answer}"
    return 5 + right[1].ByteSize()


def measure(targets, load, url, opt):
    """{name: {rate, p50, p99, rss, cpu}} as medians over rounds in which the targets take turns."""
    runs = {t.name: [] for t in targets}
    for t in targets:
        load(t, url(t), 1)  # fills pools and caches
    for n in range(opt.rounds):
        for t in targets[n % len(targets):] + targets[:n % len(targets)]:
            before = cpu_seconds(t.pid)
            result = load(t, url(t), opt.seconds)
            cpu = cpu_seconds(t.pid) - before
            if result.failed:
                print(f"  {t.name}: {result.failed} of {result.requests} requests FAILED", file=sys.stderr)
            runs[t.name].append({"rate": result.rate, "p50": result.p50, "p99": result.p99,
                                 "rss": rss_mib(t.pid), "cpu": cpu * 1e6 / max(result.requests, 1),
                                 "failed": result.failed})
    return {name: {k: statistics.median(r[k] for r in rs) for k in rs[0]} for name, rs in runs.items()}


def print_comparison(title, figures):
    mine = figures.get("gatewayd")
    head = ["", "requests/s", "p50 ms", "p99 ms", "RSS MiB", "cpu us/req", "failed", "gatewayd is"]
    rows = []
    for name, f in figures.items():
        ratio = f"x {mine['rate'] / f['rate']:.2f}" if mine and name in RIVALS else ""
        rows.append([name, f["rate"], f["p50"], f["p99"], f["rss"], f["cpu"], int(f["failed"]), ratio])
    print(table(title, head, rows), flush=True)


def count_system_calls(targets, load, url):
    rows = []
    for t in targets:
        with system_calls(t.pid) as count:
            result = load(t, url(t), 2)
        rows.append([t.name, count.calls / result.requests if count.calls else "not available"])
    return rows


def count_allocations(node, directory, cores, load, url):
    """(of its own code, with those of libraries) a request, in a gatewayd of its own."""
    counts = directory / "mallocs"
    env = {"LD_PRELOAD": paths.built("mallocs.so"), "GW_MALLOCS": str(counts)}
    t = Gatewayd(node, directory, cores, name=f"gatewayd counted {url.__name__}", env=env)
    load(t, url(t), 2)
    before = allocations(counts)
    result = load(t, url(t), 2)
    after = allocations(counts)
    t.stop()
    return [(b - a) / result.requests for a, b in zip(before, after)]


def admin_ready(address):
    host, port = address.rsplit(":", 1)

    def ready():
        try:
            with socket.create_connection((host, int(port)), timeout=2) as s:
                s.sendall(b"GET /ready HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
                return s.recv(4096).startswith(b"HTTP/1.1 200")
        except OSError:
            return False
    return ready


def time_starts(gatewayd, times=10):
    """Milliseconds from exec to /ready on the database that is there; and RSS before any request."""
    r = gatewayd.replica
    took, idle = [], []
    for _ in range(times):
        r.stop()
        for listener, address in r.address.items():
            r.config[f"listen.{listener}"] = address
        r.write_config()
        took.append(1000 * time_to(admin_ready(r.address["admin"]), r.process.start))
        idle.append(rss_mib(r.process.pid))
    return statistics.median(took), statistics.median(idle)


def chosen(targets, words):
    return [t for t in targets if not words or any(w in t.name.lower() for w in words)]


def start_targets(node, directory, proxy_cores, config):
    """(targets, gatewayd or None)"""
    mine = []
    if os.path.exists(paths.GATEWAYD) and os.path.exists(paths.GWCTL):
        quiet = {**config, "access_log": "false"}
        mine = [Gatewayd(node, directory, proxy_cores, config),
                Gatewayd(node, directory, proxy_cores, quiet, name="gatewayd, no access log")]
        token, key = mine[0].token, gateway_key(directory, mine[0])
    else:
        print("gatewayd is not built: its rows are left out and the token is the benchmark's own\n")
        token, key = foreign_token(directory)
    others = [Direct(node), Haproxy(node, directory, proxy_cores), Haproxy(node, directory, proxy_cores, key),
              Nginx(node, directory, proxy_cores)]
    for t in others:
        t.token = token
    return others[:1] + mine + others[1:], mine[0] if mine else None


def loads(opt, directory, cores, targets):
    """(wrk, paced, grpc), after every target has been seen to answer rightly."""
    headers = {"x-tenant-id": TENANT, "content-type": "application/json"}
    body = '{"aggregate_type":"order","limit":2}'
    protos = Protos(directory)
    message = protos.command.SubmitCommandRequest(**COMMAND).SerializeToString()
    grpc = H2load(directory, cores, {**headers, "content-type": "application/grpc", "te": "trailers"},
                  b"\0" + len(message).to_bytes(4, "big") + message)
    paced = H2load(directory, cores, headers, body.encode(), opt.connections, 1, h1=True, rate=opt.rate)
    grpc.answer_size = check(targets, protos, headers, body)
    return Wrk(directory, cores, headers, body, opt.connections), paced, grpc


def measure_costs(targets, node, directory, cores, wrk, grpc):
    figures = {}
    for kind, load, url in (("HTTP", wrk, query_url), ("gRPC", grpc, submit_url)):
        rows = count_system_calls(targets, load, url)
        figures[f"syscalls {kind}"] = dict(rows)
        print(table(f"{kind}: system calls a request", ["", "calls"], rows), flush=True)
    for kind, load, url in (("HTTP", wrk, query_url), ("gRPC", grpc, submit_url)):
        own, every = count_allocations(node, directory, cores, load, url)
        figures[f"allocations {kind}"] = {"own": own, "all": every}
        print(f"{kind}: allocations a request in gatewayd: {own:.3f} of its own code, {every:.2f} with libraries'")
    print()
    return figures


def run_sections(opt, targets, gatewayd, node, directory, cores, wrk, paced, grpc):
    """Prints each section when it is measured; all figures."""
    sections, figures = opt.sections.split(","), {}
    some = chosen(targets, opt.targets.lower().split(",") if opt.targets else [])
    if "http" in sections:
        figures["http"] = measure(some, wrk, query_url, opt)
        print_comparison(f"HTTP: POST /v1/query/bench, wrk, {opt.connections} keep-alive connections", figures["http"])
    if "grpc" in sections:
        figures["grpc"] = measure(some, grpc, submit_url, opt)
        print_comparison("gRPC: SubmitCommand, h2load, 16 connections of 16 streams", figures["grpc"])
    if "paced" in sections:
        figures["paced"] = measure(some, paced, query_url, opt)
        print_comparison(f"HTTP at the same offered load: {opt.rate} requests/s, h2load, "
                         f"{opt.connections} connections", figures["paced"])
    if "costs" in sections:
        figures.update(measure_costs(some, node, directory, cores, wrk, grpc))
    if "start" in sections and gatewayd:
        ms, mib = time_starts(gatewayd)
        figures["start"] = {"ms": ms, "idle_mib": mib}
        print(f"exec to /ready on an existing database: {ms:.1f} ms (median of 10)\n"
              f"idle RSS with two workers: {mib:.1f} MiB\n")
    return figures


def bench(opt, directory):
    proxy_cores, load_cores, note = cores()
    print(f"{note}\n{opt.rounds} rounds of {opt.seconds} s, medians; all targets run, one at a time is loaded\n")
    try:
        node = Node(directory, threads=2)
        subprocess.run(["taskset", "-a", "-cp", load_cores, str(node.process.pid)], check=True,
                       stdout=subprocess.DEVNULL)
        config = dict(pair.split("=", 1) for pair in opt.set)
        targets, gatewayd = start_targets(node, directory, proxy_cores, config)
        figures = run_sections(opt, targets, gatewayd, node, directory, proxy_cores,
                               *loads(opt, directory, load_cores, targets))
        for t in targets:
            t.stop()
    finally:
        for p in process.started:
            p.kill()
    if opt.json:
        Path(opt.json).write_text(json.dumps(figures, indent=1))


def query_url(target):
    return f"{target.http}/v1/query/bench"


def submit_url(target):
    return f"{target.grpc}/aggregate.gateway.v1.CommandService/SubmitCommand"


def main():
    opt = options()
    with tempfile.TemporaryDirectory(prefix="gw-bench-") as directory:
        bench(opt, Path(directory))


if __name__ == "__main__":
    main()
