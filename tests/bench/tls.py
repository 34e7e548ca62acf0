#!/usr/bin/python3
"""TLS of gatewayd, HAProxy and nginx on one core each, with one certificate (ECDSA P-256) and TLS 1.3: full
handshakes, handshakes resumed by a ticket, and requests on connections that are kept. All answer by
themselves, so that TLS and HTTP are what is measured. Rounds alternate; medians are printed. The processor
time that one of each costs is the figure to trust on a machine that does other things too."""
import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from load import Wrk
from meter import cpu_seconds, rss_mib
from table import table
from targets import listening, nginx_conf

from harness import ports, process
from harness.certs import Authority
from harness.gateway import Gateway
from harness.process import Process
from harness.wait import until

HAPROXY = """
global
    nbthread 1
    maxconn 4096
    ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend tls
    bind 127.0.0.1:{http} ssl crt {pem} alpn http/1.1
    bind 127.0.0.1:{h2} ssl crt {pem} alpn h2
    http-request return status 200 content-type application/json string '{{"status":"ok"}}'
"""

NGINX = """
    ssl_certificate {cert};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.3;
    ssl_session_cache shared:tls:10m;
    default_type application/json;
    server {{ listen 127.0.0.1:{http} ssl; location / {{ return 200 '{{"status":"ok"}}'; }} }}
    server {{ listen 127.0.0.1:{h2} ssl http2; location / {{ return 200 '{{"status":"ok"}}'; }} }}
"""


class Rival:
    def __init__(self, name, argv, config, directory, core, pair):
        cert, key = pair
        http, h2 = ports.free(2)
        pem = directory / "both.pem"
        pem.write_bytes(Path(cert).read_bytes() + Path(key).read_bytes())
        path = directory / f"{name}.conf"
        text = config.format(http=http, h2=h2, pem=pem, cert=cert, key=key)
        path.write_text(nginx_conf(directory, 1, text) if name == "nginx" else text)
        self.name, self.http, self.h2 = name, http, h2
        self.process = Process(name, ["taskset", "-c", core, *argv, str(path)], directory)
        self.process.start()
        until(lambda: listening(http) and listening(h2), 10, f"{name} to listen")
        self.pid = self.process.pid

    def stop(self):
        self.process.stop()


class Ours:
    name = "gatewayd"

    def __init__(self, directory, core, pair, ca):
        self.gateway = Gateway(directory / "gatewayd", ca=ca, config={
            "tls.cert": str(pair[0]), "tls.key": str(pair[1]), "workers": 1, "access_log": False})
        replica = self.gateway.replicas[0]
        self.http, self.h2, self.pid = replica.port("http"), replica.port("grpc"), replica.process.pid
        subprocess.run(["taskset", "-a", "-c", "-p", core, str(self.pid)], check=True, capture_output=True)

    def stop(self):
        self.gateway.stop()


class Connections:
    """One request a connection, by several openssl s_time at once."""

    def __init__(self, cores, how):
        self.cores, self.how = cores, how

    def __call__(self, port, seconds):
        argv = ["taskset", "-c", self.cores, "openssl", "s_time", "-connect", f"127.0.0.1:{port}", self.how, "-www",
                "/health", "-time", str(seconds), "-tls1_3"]
        running = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                   for _ in range(6)]
        done = 0
        for p in running:
            out = p.communicate(timeout=seconds + 60)[0]
            done += int(re.findall(r"(\d+) connections in \d+ real seconds", out)[-1])
        return done / seconds, done


class Kept(Wrk):
    """Many requests a connection; each is wrk's own GET."""

    def __init__(self, directory, cores):
        super().__init__(directory, cores, {}, "", connections=64)

    def script(self, target):
        return os.devnull

    def __call__(self, port, seconds):
        r = super().__call__(None, f"https://127.0.0.1:{port}/health", seconds)
        assert r.failed == 0, r
        return r.rate, r.requests


class KeptH2:
    def __init__(self, cores):
        self.cores = cores

    def __call__(self, port, seconds):
        out = subprocess.run(["taskset", "-c", self.cores, "h2load", "-c16", "-m16", "-t2", "-D", str(seconds),
                              f"https://127.0.0.1:{port}/health"], capture_output=True, text=True, check=True).stdout
        done, good = map(int, re.search(r"(\d+) done, (\d+) succeeded", out).groups())
        assert done == good > 0, out
        return float(re.search(r"finished in .*?, ([\d.]+) req/s", out).group(1)), done


def measure(targets, load, port, opt):
    runs = {t.name: [] for t in targets}
    for t in targets:
        load(port(t), 1)
    for n in range(opt.rounds):
        for t in targets[n % len(targets):] + targets[:n % len(targets)]:
            before = cpu_seconds(t.pid)
            rate, done = load(port(t), opt.seconds)
            runs[t.name].append((rate, (cpu_seconds(t.pid) - before) * 1e6 / done, rss_mib(t.pid)))
    return {name: [statistics.median(x) for x in zip(*rs)] for name, rs in runs.items()}


def show(title, figures):
    mine = figures["gatewayd"]
    rows = [[name, rate, cpu, rss, f"x {rate / mine[0]:.2f}", f"x {cpu / mine[1]:.2f}"]
            for name, (rate, cpu, rss) in figures.items()]
    print(table(title, ["", "a second", "cpu us each", "RSS MiB", "rate / ours", "cpu / ours"], rows), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=int, default=3)
    p.add_argument("--core", default="0", help="of the servers, one at a time")
    p.add_argument("--load-cores", default="1-3")
    opt = p.parse_args()
    with tempfile.TemporaryDirectory(prefix="gateway-bench-tls-") as name:
        directory = Path(name)
        authority = Authority(directory)
        pair = authority.issue("server", "DNS:localhost", "IP:127.0.0.1")
        targets = []
        try:
            targets.append(Ours(directory, opt.core, pair, authority.cert))
            targets.append(Rival("HAProxy", ["haproxy", "-db", "-q", "-f"], HAPROXY, directory, opt.core, pair))
            targets.append(Rival("nginx", ["nginx", "-c"], NGINX, directory, opt.core, pair))
            show("full handshakes (one request each)",
                 measure(targets, Connections(opt.load_cores, "-new"), lambda t: t.http, opt))
            show("resumed handshakes (one request each)",
                 measure(targets, Connections(opt.load_cores, "-reuse"), lambda t: t.http, opt))
            show("HTTP/1.1 requests, 64 connections", measure(targets, Kept(name, opt.load_cores), lambda t: t.http, opt))
            show("HTTP/2 requests, 16 connections x 16 streams",
                 measure(targets, KeptH2(opt.load_cores), lambda t: t.h2, opt))
        finally:
            for t in targets:
                t.stop()
            for started in process.started:
                started.kill()


if __name__ == "__main__":
    sys.exit(main())
