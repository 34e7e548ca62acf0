#!/usr/bin/python3
"""How long an access token outlives the revocation of its session, on two gateways before one store:
on the gateway that acknowledged it (never), and on the other, with NATS, without, and with NATS
killed in the middle. Sign-out, ending of all sessions by an administrator, and disabling take turns.
Each sample is the time from the acknowledgement to the end of the first refused request."""
import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

from table import table
from targets import Gateway

from harness import process
from harness.caller import Caller
from harness.nats import Nats
from harness.rqlite import Rqlite

PASSWORD = "seventeen slow turtles"
CHEAP = {"auth.argon2.memory_kib": 8, "auth.argon2.iterations": 1, "access_log": False,
         "limits.attempts_per_address": 0, "limits.attempts_per_account": 0}
SCENES = ("with NATS", "NATS killed in the middle", "without NATS")
LIMITS = {"with NATS": 250, "NATS killed in the middle": 1000, "without NATS": 1000}  # ms, of p99


def sign_out(caller, root, user, tokens):
    caller.must(0, "POST", "/v1/auth/signout", {}, tokens["access_token"])


def end_sessions(caller, root, user, tokens):
    caller.must(0, "DELETE", f"/admin/users/{user}/sessions", None, root)


def disable(caller, root, user, tokens):
    caller.must(0, "PATCH", f"/admin/users/{user}", {"disabled": True}, root)


class Pair:
    """Two gateways on a store of their own, and users to be thrown out."""

    def __init__(self, directory, store, nats):
        directory.mkdir(parents=True)
        rqlite = Rqlite(directory) if store == "rqlite" else None
        self.rqlite = rqlite
        self.gateway = Gateway(directory / "gateway", store, rqlite=rqlite, replicas=2, nats=nats, config=CHEAP)
        self.caller = Caller(self.gateway)
        self.root = self.gateway.signin()["access_token"]

    def stop(self):
        self.gateway.stop()
        if self.rqlite:
            self.rqlite.stop()

    def sample(self, n):
        """Milliseconds on the other gateway; and whether the first took the token once more."""
        c, address = self.caller, f"user{n}@example.test"
        user = c.must(0, "POST", "/admin/users", {"email": address, "password": PASSWORD}, self.root)["id"]
        tokens = c.signin(address, PASSWORD)
        for replica in (0, 1):  # both have the session in their caches
            assert c.me(replica, tokens) == 200
        (sign_out, end_sessions, disable)[n % 3](c, self.root, user, tokens)
        acknowledged = time.monotonic()
        same = c.me(0, tokens) != 401
        while c.me(1, tokens) != 401:
            assert time.monotonic() < acknowledged + 30, "the other gateway never refuses the token"
        return 1000 * (time.monotonic() - acknowledged), same

    def lag_histogram(self):
        """{bound: share at or below} as the other gateway exports it."""
        text = self.gateway.call("GET", "/metrics", replica=1, listener="admin").text
        found = re.findall(r'^gateway_revocation_lag_seconds_bucket\{le="(.+)"\} (\d+)$', text, re.M)
        counts = {bound: int(n) for bound, n in found}
        return {bound: n / max(counts["+Inf"], 1) for bound, n in counts.items()}


def measure(directory, store, scene, samples):
    """A row of the table; whether it is within the limits."""
    nats = None
    if scene != "without NATS":
        (directory / "nats").mkdir(parents=True)
        nats = Nats(directory / "nats")
    pair = Pair(directory / "pair", store, nats)
    late, same = [], 0
    for n in range(samples):
        if n == samples // 2 and scene.startswith("NATS killed"):
            nats.kill()
        ms, kept = pair.sample(n)
        late.append(ms)
        same += kept
    shares = pair.lag_histogram()
    pair.stop()
    if nats:
        nats.kill()
    late.sort()
    p50, p99 = late[len(late) // 2], late[len(late) * 99 // 100]
    good = p99 <= LIMITS[scene] and not same
    row = [f"{store}, {scene}", samples, same, p50, p99, late[-1], LIMITS[scene],
           f"{100 * shares['0.25']:.1f} %", "yes" if good else "NO"]
    return row, good


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--samples", type=int, default=300, help="revocations of each scene")
    p.add_argument("--stores", default="sqlite,rqlite")
    return p.parse_args()


def main():
    opt, rows, all_good = options(), [], True
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as directory:
        try:
            for store in opt.stores.split(","):
                for scene in SCENES:
                    row, good = measure(Path(directory) / f"{store}-{len(rows)}", store, scene, opt.samples)
                    rows.append(row)
                    all_good &= good
                    print(f"{row[0]}: done", file=sys.stderr)
        finally:
            for p in process.started:
                p.kill()
    print(table("Access tokens after their revocation, two gateways, ms until the other one refuses",
                ["", "revocations", "taken by the first", "p50", "p99", "max", "limit of p99",
                 "metric <= 0.25 s", "within"], rows))
    return 0 if all_good else 1


if __name__ == "__main__":
    sys.exit(main())
