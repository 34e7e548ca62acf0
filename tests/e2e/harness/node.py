"""samplenode, the upstream node of the tests."""
import requests

from . import ports
from .paths import SAMPLENODE, program
from .process import Process


class Node:
    def __init__(self, log_dir, name="node", threads=2):
        argv = [program(SAMPLENODE), "--name", name, "--threads", threads]
        for what, port in zip(("http", "grpc", "admin"), ports.free(3)):
            argv += [f"--{what}", f"127.0.0.1:{port}"]
        self.name = name
        # it does not tidy up when it ends: a leak there says nothing
        self.process = Process(name, argv, log_dir, env={"ASAN_OPTIONS": "detect_leaks=0"})
        self.address = {}
        self.start()

    def start(self):
        """Starts it, after a crash on the same ports as before; its memory starts empty."""
        self.process.start()
        self.process.expect(r"^ready$")
        for line in self.process.output().splitlines():
            if line.startswith("listening "):
                _, what, address = line.split()
                self.address[what] = address
        return self

    def stop(self):
        return self.process.stop()

    def kill(self):
        self.process.kill()

    @property
    def http(self):
        return f"http://{self.address['http']}"

    @property
    def grpc(self):
        return f"grpc://{self.address['grpc']}"

    @property
    def admin(self):
        return f"http://{self.address['admin']}"

    def port(self, what="http"):
        return int(self.address[what].rsplit(":", 1)[1])

    def query(self, view, body=None, tenant="acme", **kw):
        headers = {"x-tenant-id": tenant} if tenant else {}
        return requests.post(f"{self.http}/v1/query/{view}", json={} if body is None else body,
                             headers={**headers, **kw.pop("headers", {})}, timeout=60, **kw)

    def command(self, aggregate, aggregate_id, tenant="acme", **body):
        return requests.post(f"{self.http}/v1/commands/{aggregate}/{aggregate_id}", json=body,
                             headers={"x-tenant-id": tenant}, timeout=60)

    def count(self, key):
        """How many requests have named the fault key."""
        return self.query("counter", {"key": key}).json()["count"]

    def status(self, tenant):
        r = requests.get(f"{self.admin}/admin/tenants/{tenant}/status", timeout=60)
        assert r.status_code == 200
        return r.json()

    def drain(self, tenant):
        return requests.post(f"{self.admin}/admin/tenants/{tenant}/drain", timeout=60).json()

    def resume(self, tenant):
        return requests.post(f"{self.admin}/admin/tenants/{tenant}/resume", timeout=60).json()

    def pretend(self, tenant, **status):
        """Makes the node report another lag, checkpoint_stable or snapshot_available."""
        r = requests.post(f"{self.admin}/admin/tenants/{tenant}/status", json=status, timeout=60)
        assert r.status_code == 200, r.text
