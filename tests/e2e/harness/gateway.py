"""gatewayd and gwctl: one gateway of one or more replicas on one store, with everything that it
writes in a directory of the test."""
import base64
import json
import os
import subprocess
import uuid
from types import SimpleNamespace

import requests
import yaml

from . import ports
from .paths import GATEWAYD, GWCTL, program
from .process import Ended, Process, sanitizer_report, until_alive
from .raw import Connection, raw
from .wait import PATIENCE, until

ADMIN_EMAIL = "root@example.test"
ADMIN_PASSWORD = "correct horse battery staple"
LISTENERS = ("http", "grpc", "admin")
DEFAULTS = {
    "auth.issuer": "http://gateway.test",
    "auth.signup": "open",
    "workers": 2,
}


class Replica:
    """One gatewayd."""

    def __init__(self, gateway, number, config):
        self.gateway, self.number, self.config = gateway, number, dict(config)
        for listener, port in zip(LISTENERS, ports.free(len(LISTENERS))):
            self.config.setdefault(f"listen.{listener}", f"127.0.0.1:{port}")
        self.config_path = gateway.directory / f"gatewayd{number}.yaml"
        self.process = Process(f"gatewayd{number}", [program(GATEWAYD), "-c", self.config_path], gateway.directory,
                               env=gateway.env, cwd=gateway.directory)
        self.address = {}

    def write_config(self):
        with open(self.config_path, "w") as f:
            yaml.safe_dump(nested(self.config), f)

    def start(self):
        """Starts it (again on the ports that it had) and waits until it is ready."""
        self.write_config()
        self.process.start()
        until_alive(self.read_addresses, what="gatewayd to print its addresses")
        until_alive(self.ready, what="/ready")
        return self

    def read_addresses(self):
        for entry in self.log():
            if entry.get("msg") == "listening":
                self.address[entry["listener"]] = entry["address"]
        if not self.process.alive():
            raise Ended(self.process)
        return len(self.address) >= 3

    def ready(self):
        if not self.process.alive():
            raise Ended(self.process)
        return requests.get(f"{self.admin}/ready", timeout=10, verify=self.gateway.verify).status_code == 200

    def log(self):
        """The log of the current run, one dict a line; a line that is no JSON is {"raw": line}."""
        entries = []
        for line in self.process.output().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            entries.append(entry if isinstance(entry, dict) else {"raw": line})
        return entries

    def reload(self, **config):
        """Writes changed keys ("authz.max_staleness" as authz__max_staleness) and sends SIGHUP."""
        self.config.update({k.replace("__", "."): v for k, v in config.items()})
        self.write_config()
        self.process.signal(1)

    def port(self, listener="http"):
        return int(self.address[listener].rsplit(":", 1)[1])

    def raw(self, data, listener="http", **kw):
        return raw(self.port(listener), data, **kw)

    def connect(self, listener="http", **kw):
        return Connection(self.port(listener), **kw)

    @property
    def scheme(self):
        return "https" if "tls.cert" in self.config else "http"

    @property
    def http(self):
        return f"{self.scheme}://{self.address['http']}"

    @property
    def admin(self):
        return f"{self.scheme}://{self.address['admin']}"

    @property
    def grpc(self):
        """host:port, as a gRPC channel takes it."""
        return self.address["grpc"]

    def stop(self):
        return self.process.stop()

    def kill(self):
        self.process.kill()


class Gateway:
    def __init__(self, directory, store="sqlite", rqlite=None, replicas=1, nats=None, config=None, env=None,
                 start=True, ca=None):
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        self.verify = str(ca) if ca else True  # whom clients of a gateway with TLS trust
        self.env = {"XDG_CONFIG_HOME": str(directory / "xdg"), "HOME": str(directory), **(env or {})}
        self.store_url = rqlite.store_url if store == "rqlite" else f"sqlite:{directory / 'gateway.db'}"
        if ca:
            self.env["GWCTL_CA"] = str(ca)
        config = {**DEFAULTS, "store.url": self.store_url, **(config or {})}
        if nats:
            config["nats.url"] = nats.url
        if store == "rqlite":
            self.env.setdefault("GATEWAYD_AUTH_MASTER_KEY_FILE", str(self.write("master.key", master_key())))
        self.write("admin-password", ADMIN_PASSWORD)
        self.replicas = [Replica(self, i + 1, config) for i in range(replicas)]
        if start:
            self.prepare()
            for replica in self.replicas:
                replica.start()

    def write(self, name, text):
        """A file of mode 0600 in the test's directory; its path."""
        path = self.directory / name
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(text)
        return path

    def prepare(self):
        """Migrates the store and makes the first platform admin, both without a server."""
        self.gwctl("db", "migrate", "--store", self.store_url)
        self.gwctl("admin", "init", "--store", self.store_url, "--email", ADMIN_EMAIL,
                   "--password-file", self.directory / "admin-password")

    def gwctl(self, *args, stdin="", check=True, env=None, timeout=120):
        """Runs gwctl; the result has stdout, stderr, returncode and json() of stdout. With check a
        status other than 0 is a failure."""
        p = subprocess.run([program(GWCTL), *map(str, args)], input=stdin, capture_output=True, text=True,
                           timeout=timeout, cwd=self.directory, env={**os.environ, **self.env, **(env or {})})
        assert not sanitizer_report("gwctl", p.stderr), p.stderr
        if check:
            assert p.returncode == 0, f"gwctl {' '.join(map(str, args))}: {p.returncode}\n{p.stdout}{p.stderr}"
        return SimpleNamespace(stdout=p.stdout, stderr=p.stderr, returncode=p.returncode,
                               json=lambda: json.loads(p.stdout))

    def ctl(self, *args, **kw):
        """gwctl towards all replicas, JSON output."""
        servers = ",".join(r.admin for r in self.replicas)
        return self.gwctl("--server", servers, "-o", "json", *args, **kw)

    def login(self, email=ADMIN_EMAIL, password=ADMIN_PASSWORD):
        """Stores a gwctl session in the test's own XDG directory."""
        path = self.write(f"password-{uuid.uuid4()}", password)
        servers = ",".join(r.admin for r in self.replicas)
        return self.gwctl("--server", servers, "login", "--email", email, "--password-file", path)

    def signin(self, email=ADMIN_EMAIL, password=ADMIN_PASSWORD, replica=0):
        """The token set of a new session."""
        r = requests.post(f"{self.replicas[replica].http}/v1/auth/signin",
                          json={"email": email, "password": password}, timeout=60, verify=self.verify)
        assert r.status_code == 200, r.text
        return r.json()

    def call(self, method, path, token=None, tenant=None, replica=0, listener="http", headers=None, **kw):
        """One HTTP request to a replica; the response whatever its status."""
        headers = dict(headers or {})
        if token:
            headers["authorization"] = f"Bearer {token}"
        if tenant:
            headers["x-tenant-id"] = tenant
        r = self.replicas[replica]
        return requests.request(method, f"{r.scheme}://{r.address[listener]}{path}", headers=headers,
                                timeout=kw.pop("timeout", 60), allow_redirects=False,
                                verify=kw.pop("verify", self.verify), **kw)

    def admin(self, method, path, token, body=None, expect=(200, 201, 204), **kw):
        """One admin call that must succeed; its JSON, or None."""
        r = self.call(method, path, token=token, listener="admin", json=body, **kw)
        assert r.status_code in expect, f"{method} {path}: {r.status_code} {r.text}"
        return r.json() if r.content else None

    def route(self, token, **document):
        """Puts a routing document as the next revision; the answer."""
        revision = self.admin("GET", "/admin/routing", token).get("revision", 0)
        return self.admin("PUT", "/admin/routing", token, {"revision": revision + 1, **document})

    def stop(self):
        """Ends the replicas that run with SIGTERM; their exit statuses."""
        return [r.stop() for r in self.replicas if r.process.alive()]

    def kill(self):
        for r in self.replicas:
            r.kill()


def master_key():
    return base64.b64encode(os.urandom(32)).decode()


def nested(flat):
    """{"a.b": 1} → {"a": {"b": 1}}"""
    tree = {}
    for key, value in flat.items():
        *parents, leaf = key.split(".")
        at = tree
        for parent in parents:
            at = at.setdefault(parent, {})
        at[leaf] = value
    return tree


def wait_for(gateway, condition, timeout=PATIENCE, what=None):
    """until(), but fails at once when a replica has died."""
    def look():
        for r in gateway.replicas:
            if r.process.popen and not r.process.alive():
                raise Ended(r.process)
        return condition()
    try:
        return until(look, timeout, what)
    except Ended as e:
        raise AssertionError(str(e)) from None
