"""What a server costs: memory, processor time, system calls, time to start. Reads /proc; counts
system calls with perf or strace, whichever this machine lets us use."""
import contextlib
import os
import re
import signal
import struct
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


def family(pid):
    """The process and its descendants."""
    found = [pid]
    for parent in found:
        for task in os.listdir(f"/proc/{parent}/task"):
            with open(f"/proc/{parent}/task/{task}/children") as f:
                found += [int(child) for child in f.read().split()]
    return found


def rss_mib(pid):
    """Resident memory of all its processes together, MiB."""
    total = 0
    for p in family(pid):
        with open(f"/proc/{p}/status") as f:
            total += int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
    return total / 1024


def cpu_seconds(pid):
    """Processor time that all its processes have used."""
    total = 0
    for p in family(pid):
        with open(f"/proc/{p}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


class Count:
    """The number of system calls made while the context was open; None when nothing can count."""
    calls = None


@contextlib.contextmanager
def system_calls(pid):
    count = Count()
    pids = family(pid)
    perf = ["perf", "stat", "-x", ";", "-e", "raw_syscalls:sys_enter", "-p", ",".join(map(str, pids))]
    strace = ["strace", "-f", "-c", "-U", "calls", *(f"-p{p}" for p in pids)]
    for argv, pattern in ((perf, r"^(\d+);"), (strace, r"^\s*(\d+)\s*$")):
        p = start_counter(argv)
        if not p:
            continue
        try:
            yield count
        finally:
            p.send_signal(signal.SIGINT)
            text = p.communicate(timeout=30)[1]
        numbers = [int(n) for n in re.findall(pattern, text, re.M)]
        count.calls = max(numbers) if numbers else None
        return
    yield count


def start_counter(argv):
    """The counting program once it has attached, or None when it can't."""
    try:
        p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                             text=True)
    except FileNotFoundError:
        return None
    try:
        p.wait(0.5)  # a counter that may not attach ends at once
    except subprocess.TimeoutExpired:
        return p
    p.stderr.close()
    return None


def allocations(path):
    """(those of the program's own code, all) so far, as mallocs.c counts them in the file."""
    with open(path, "rb") as f:
        every, own = struct.unpack("=QQ", f.read(16))
    return own, every


def time_to(ready, start, timeout=20.0):
    """Seconds from just before start() until ready() is true, asked without a pause."""
    begin = time.perf_counter()
    start()
    while not ready():
        assert time.perf_counter() - begin < timeout, "not ready in time"
    return time.perf_counter() - begin
