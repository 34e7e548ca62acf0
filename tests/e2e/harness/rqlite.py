"""A real rqlite cluster of three nodes on loopback."""
import requests

from . import ports
from .paths import RQLITED, program
from .process import Process
from .wait import until



class RqliteNode:
    def __init__(self, number, http, raft, rafts, directory):
        self.number, self.http = number, http
        self.url = f"http://127.0.0.1:{http}"
        argv = [program(RQLITED), "-node-id", f"r{number}", "-http-addr", f"127.0.0.1:{http}",
                "-raft-addr", f"127.0.0.1:{raft}", "-bootstrap-expect", len(rafts),
                "-join", ",".join(f"127.0.0.1:{p}" for p in rafts), "-join-interval", "100ms",
                "-join-attempts", "100", directory / f"r{number}"]
        self.process = Process(f"rqlited{number}", argv, directory)

    def ready(self):
        return requests.get(f"{self.url}/readyz", timeout=10).status_code == 200

    def status(self):
        return requests.get(f"{self.url}/status", timeout=10).json()

    def is_leader(self):
        return self.process.alive() and self.status()["store"]["raft"]["state"] == "Leader"


class Rqlite:
    def __init__(self, directory, size=3):
        free = ports.free(2 * size)
        https, rafts = free[:size], free[size:]
        self.nodes = [RqliteNode(i + 1, https[i], rafts[i], rafts, directory) for i in range(size)]
        for node in self.nodes:
            node.process.start()
        self.wait_ready()

    def wait_ready(self):
        """Until every running node knows a leader and serves."""
        for node in self.alive():
            until(node.ready, what=f"rqlited {node.number} ready")

    def alive(self):
        return [n for n in self.nodes if n.process.alive()]

    @property
    def store_url(self):
        """As store.url of gatewayd and --store of gwctl want it."""
        return "rqlite:" + ",".join(n.url for n in self.nodes)

    def leader(self):
        """The node that leads, waiting while there is none."""
        def look():
            return [n for n in self.alive() if n.is_leader()]
        return until(look, what="a leader")[0]

    def followers(self):
        leader = self.leader()
        return [n for n in self.alive() if n is not leader]

    def kill_leader(self):
        """SIGKILL to the leader; returns the dead node."""
        leader = self.leader()
        leader.process.kill()
        return leader

    def restart(self, node):
        node.process.start()
        until(node.ready, what=f"rqlited {node.number} ready again")

    def execute(self, *statements, node=None):
        """One transaction on any node; its results. Raises on every shape of failure."""
        node = node or self.alive()[0]
        r = requests.post(f"{node.url}/db/execute?transaction", json=list(statements), timeout=30)
        return results(r)

    def query(self, *statement, level="linearizable", node=None):
        """The rows of one SELECT with its parameters."""
        node = node or self.alive()[0]
        r = requests.post(f"{node.url}/db/query?level={level}", json=[list(statement)], timeout=30)
        return results(r)[0].get("values", [])

    def stop(self):
        for node in self.nodes:
            node.process.kill()


def results(r):
    """rqlite answers 200 with the error inside more often than not."""
    r.raise_for_status()
    body = r.json()
    errors = [body.get("error")] + [x.get("error") for x in body.get("results", [])]
    assert not any(errors), errors
    return body["results"]
