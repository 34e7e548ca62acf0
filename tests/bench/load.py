"""The load generators: wrk for HTTP/1.1, h2load for gRPC. Each run gives a Result."""
import os
import re
import subprocess
from dataclasses import dataclass

UNITS = {"us": 1e-3, "ms": 1.0, "s": 1000.0}

WRK_SCRIPT = """
wrk.method = "POST"
wrk.body = %s
for k, v in pairs({%s}) do wrk.headers[k] = v end
"""


@dataclass
class Result:
    rate: float      # answered requests a second
    p50: float       # milliseconds
    p99: float
    requests: int
    failed: int      # answers other than 2xx, broken connections, timeouts


def lua(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * UNITS[unit]


def run(argv, cores, timeout):
    p = subprocess.run(["taskset", "-c", cores, *map(str, argv)], capture_output=True, text=True, timeout=timeout)
    assert p.returncode == 0, f"{argv[0]}: {p.stdout}{p.stderr}"
    return p.stdout


class Wrk:
    """POST of one body over keep-alive connections, as fast as answers come."""

    def __init__(self, directory, cores, headers, body, connections=64, threads=2):
        self.directory, self.cores, self.headers, self.body = directory, cores, headers, body
        self.connections, self.threads = connections, threads

    def script(self, target):
        path = os.path.join(self.directory, f"post-{target.pid}.lua")
        headers = {**self.headers, "authorization": f"Bearer {target.token}"}
        with open(path, "w") as f:
            f.write(WRK_SCRIPT % (lua(self.body), ", ".join(f"[{lua(k)}] = {lua(v)}" for k, v in headers.items())))
        return path

    def __call__(self, target, url, seconds):
        out = run(["wrk", f"-t{self.threads}", f"-c{self.connections}", f"-d{seconds}s", "--latency", "-s",
                   self.script(target), url], self.cores, seconds + 30)
        found = dict(re.findall(r"^\s+(50|99)%\s+(\S+)$", out, re.M))
        requests = int(re.search(r"(\d+) requests in", out).group(1))
        failed = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", out)))
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
        failed += sum(map(int, errors.groups())) if errors else 0
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))
        return Result(rate, milliseconds(found["50"]), milliseconds(found["99"]), requests, failed)


class H2load:
    """h2load: one message over multiplexed HTTP/2 connections or, with h1, over keep-alive ones; as fast as
    answers come, or at a fixed rate. It looks at no trailers, so an answer that is shorter than the one
    expected counts as failed."""
    answer_size = 0  # bytes of body that a right answer has; set before measuring

    def __init__(self, directory, cores, headers, message, clients=16, streams=16, threads=2, h1=False, rate=0):
        self.log = os.path.join(directory, "h2load.tsv")
        self.body = os.path.join(directory, f"message{'-h1' if h1 else ''}.bin")
        with open(self.body, "wb") as f:
            f.write(message)
        self.cores, self.argv = cores, [f"-c{clients}", f"-m{streams}", f"-t{threads}", "-d", self.body]
        self.argv += ["--h1"] if h1 else []
        self.argv += [f"--rps={rate / clients:g}"] if rate else []
        for name, value in headers.items():
            self.argv += ["-H", f"{name}: {value}"]

    def __call__(self, target, url, seconds):
        if os.path.exists(self.log):
            os.unlink(self.log)
        out = run(["h2load", *self.argv, "-H", f"authorization: Bearer {target.token}", "-D", seconds,
                   "--log-file", self.log, url], self.cores, seconds + 30)
        done, failed, errored, timeout = map(int, re.search(
            r"(\d+) done, \d+ succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", out).groups())
        refused = sum(map(int, re.search(r"2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", out).groups()))
        data = int(re.search(r"headers \(.*?\), \S+ \((\d+)\) data", out).group(1))
        missing = done - data // self.answer_size if self.answer_size else 0
        bad = max(failed, refused, missing) + errored + timeout
        with open(self.log) as f:
            times = sorted(int(line.rsplit("\t", 1)[1]) for line in f)
        assert times, out
        rate = float(re.search(r"finished in .*?, ([\d.]+) req/s", out).group(1))
        return Result(rate, times[len(times) // 2] / 1000, times[len(times) * 99 // 100] / 1000, done, bad)
