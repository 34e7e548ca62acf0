"""Whether the times of two kinds of request can be told apart: samples in shuffled order over one connection,
compared by ranks or by medians, so that neither a few slow ones nor a drift of the machine decide."""
import http.client
import json
import math
import random
import statistics
import time
from types import SimpleNamespace


def processor_time(pid):
    """A clock of the seconds for which a process has had a processor: whatever else the machine does meanwhile does
    not show in it (clock_getcpuclockid(3))."""
    return lambda: time.clock_gettime((~pid << 3) | 2)


class Sampler:
    """One kept-alive connection to a listener of a gateway."""

    def __init__(self, address, clock=time.perf_counter):
        host, port = address.rsplit(":", 1)
        self.clock = clock
        self.connection = http.client.HTTPConnection(host, int(port), timeout=30)

    def post(self, path, body, headers=None):
        """The seconds of the clock that the answer took, its status, what of it a stranger could compare."""
        data = json.dumps(body)
        headers = {"content-type": "application/json", "x-correlation-id": "same", **(headers or {})}
        start = self.clock()
        self.connection.request("POST", path, data, headers)
        r = self.connection.getresponse()
        text = r.read()
        took = self.clock() - start
        return SimpleNamespace(took=took, status=r.status, seen=(
            r.status, text, tuple(sorted((k, v) for k, v in r.getheaders() if k.lower() not in ("date", "traceparent")))))


def superiority(a, b):
    """The probability that a value of a is larger than one of b (Mann and Whitney's U over its range)."""
    merged = sorted([(v, 0) for v in a] + [(v, 1) for v in b])
    ranks, i = [0.0, 0.0], 0
    while i < len(merged):
        j = i
        while j < len(merged) and merged[j][0] == merged[i][0]:
            j += 1
        for _, side in merged[i:j]:
            ranks[side] += (i + 1 + j) / 2
        i = j
    return (ranks[0] - len(a) * (len(a) + 1) / 2) / (len(a) * len(b))


def shuffled(classes, samples, seed=4):
    """Runs each class's function `samples` times, all in one random order; {class: [seconds]}. What a
    stranger sees of the answers must be one and the same."""
    order = [name for name in classes for _ in range(samples)]
    random.Random(seed).shuffle(order)
    took, seen = {name: [] for name in classes}, set()
    for name in order:
        answer = classes[name]()
        took[name].append(answer.took)
        seen.add(answer.seen)
    assert len(seen) == 1, seen
    return took


def told_apart(took, reference, leak=0.05):
    """The classes that a stranger could tell from the reference: {class: probability}. One sample may give away no
    more than `leak` over a guess, but for what chance does with so many samples (five standard errors)."""
    found = {}
    for name, times in took.items():
        n = len(times)
        p = superiority(times, took[reference])
        allowed = leak + 5 * math.sqrt((2 * n + 1) / (12 * n * n))
        print(f"{name:>16}: median {statistics.median(times) * 1e3:8.3f} ms, slower than {reference} in {p:.3f} "
              f"(0.5 ± {allowed:.3f} allowed)")
        if abs(p - 0.5) > allowed:
            found[name] = round(p, 3)
    return found


def uneven(took, bar):
    """The medians of all classes when the largest is more than `bar` times the smallest, else None."""
    median = {name: statistics.median(times) for name, times in took.items()}
    for name, value in median.items():
        print(f"{name:>16}: median {value * 1e3:8.3f} ms of the processor")
    return median if max(median.values()) > bar * min(median.values()) else None
