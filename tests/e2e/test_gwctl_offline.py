"""gwctl without a gateway: the store's schema, the first platform admin, usage, help, completion."""
import json
import os
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from harness.gateway import ADMIN_PASSWORD, Gateway
from harness.paths import GWCTL, program
from harness.terminal import Terminal


@pytest.fixture
def g(tmp_path):
    """A gateway that was never started: only its directory and gwctl."""
    return Gateway(tmp_path / "gateway", start=False)


@pytest.fixture(params=["sqlite", "rqlite"])
def store(request, g):
    return g.store_url if request.param == "sqlite" else request.getfixturevalue("rqlite3").store_url


# ---- db ---------------------------------------------------------------------------------------------

def test_migrate_status_check(g, store):
    p = g.gwctl("db", "check", "--store", store, check=False)
    assert p.returncode in (1, 6) and p.stderr
    first = g.gwctl("-o", "json", "db", "migrate", "--store", store).json()["items"]
    assert [m["version"] for m in first] == list(range(1, len(first) + 1)) and len(first) >= 1
    assert g.gwctl("-o", "json", "db", "migrate", "--store", store).json()["items"] == []
    status = g.gwctl("-o", "json", "db", "status", "--store", store).json()["items"]
    assert {m["state"] for m in status} == {"applied"}
    assert g.gwctl("-o", "json", "db", "check", "--store", store).json()["schema"] == "ok"
    lines = g.gwctl("db", "status", "--store", store).stdout.splitlines()
    assert len(lines) == len(first) and lines[0].split("\t")[:3] == ["1", "core", "applied"]


def test_dry_run_migrates_nothing(g):
    assert g.gwctl("db", "migrate", "--store", g.store_url, "--dry-run", check=False).returncode == 6
    assert not os.path.exists(g.directory / "gateway.db")


def test_store_from_configuration_and_environment(g):
    path = g.write("gateway.yaml", f"store:\n  url: {g.store_url}\n")
    g.gwctl("db", "migrate", "--config", path)
    g.gwctl("db", "check", env={"GATEWAYD_STORE_URL": g.store_url})
    p = g.gwctl("db", "check", check=False)
    assert p.returncode == 2 and "--store URL" in p.stderr
    p = g.gwctl("db", "check", "--store", "", check=False)
    assert p.returncode == 2 and "--store URL" in p.stderr
    p = g.gwctl("db", "check", "--store", "postgres:x", check=False)
    assert p.returncode == 2 and "sqlite:" in p.stderr


# ---- admin ------------------------------------------------------------------------------------------

def test_first_admin_and_no_second(g, store):
    args = ["admin", "init", "--store", store, "--email", "Ann@example.test", "--password-file"]
    p = g.gwctl(*args, g.directory / "admin-password", check=False)
    assert p.returncode == 1 and "gwctl db migrate" in p.stderr
    g.gwctl("db", "migrate", "--store", store)
    p = g.gwctl(*args, "-", stdin="short\n", check=False)
    assert p.returncode == 2 and "password" in p.stderr
    for _ in range(2):  # all but done
        plan = g.gwctl("-o", "json", *args, g.directory / "admin-password", "--dry-run").json()
        assert plan == {"dry_run": True, "email": "Ann@example.test", "role": "platform-admin"}
    made = g.gwctl("-o", "json", *args, g.directory / "admin-password").json()
    assert made["email"] == "Ann@example.test" and len(made["id"]) == 36
    p = g.gwctl("-o", "json", "admin", "init", "--store", store, "--email", "bob@example.test",
                "--password-file", "-", stdin=ADMIN_PASSWORD + "\n", check=False)
    assert p.returncode == 5 and json.loads(p.stderr)["code"] == "conflict" and p.stdout == ""
    assert g.gwctl(*args, g.directory / "admin-password", "--dry-run", check=False).returncode == 5


def test_bad_address(g):
    g.gwctl("db", "migrate", "--store", g.store_url)
    p = g.gwctl("admin", "init", "--store", g.store_url, "--email", "nobody", "--password-file",
                g.directory / "admin-password", check=False)
    assert p.returncode == 2 and "nobody" in p.stderr


def test_password_from_terminal(g):
    g.gwctl("db", "migrate", "--store", g.store_url)
    args = ["admin", "init", "--store", g.store_url, "--email", "ann@example.test"]
    t = Terminal(g, *args).expect("admin: ").type(ADMIN_PASSWORD + "\r").expect("again: ").type("other\r")
    assert t.wait() == 1 and "differ" in t.seen and ADMIN_PASSWORD not in t.seen
    t = Terminal(g, *args).expect("admin: ").type("\x03")
    assert t.wait() == 1 and "cancelled" in t.seen
    t = Terminal(g, *args).expect("admin: ").type(ADMIN_PASSWORD + "x\x7f\r").expect("again: ")
    t.type(ADMIN_PASSWORD + "\r")
    assert t.wait() == 0 and "ann@example.test" in t.seen and ADMIN_PASSWORD not in t.seen


def test_no_terminal_to_ask_at(g):
    p = subprocess.run([program(GWCTL), "admin", "init", "--store", g.store_url, "--email", "a@b.test"],
                       stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=True,
                       env={**os.environ, **g.env})
    assert p.returncode in (1, 2) and p.stderr


# ---- usage ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("args,want", [
    (["usr", "list"], "did you mean 'user'?"),
    (["user", "lst"], "did you mean 'list'?"),
    (["user", "list", "--limt", "3"], "did you mean '--limit'?"),
    (["login", "--email", "a@b.c", "--password", "x"], "--password-file"),
    ([], "usage: gwctl"),
    (["user"], "usage: gwctl user"),
    (["tenant", "list"], "--server URL"),
    (["--server", "127.0.0.1:1", "tenant", "list"], "http://"),
    (["--server", "http://u:secret@h", "tenant", "list"], "password"),
    (["--context", "none", "tenant", "list"], "no context 'none'"),
])
def test_usage(g, args, want):
    p = g.gwctl(*args, check=False)
    assert p.returncode == 2 and want in p.stderr and p.stdout == ""
    assert "secret" not in p.stderr


def test_help_at_every_level(g):
    top = g.gwctl("--help").stdout
    for noun in ["login", "whoami", "context", "tenant", "user", "role", "assignment", "routing", "db", "admin"]:
        assert f"  {noun} " in top
        text = g.gwctl(noun, "--help").stdout
        assert text.startswith(f"usage: gwctl {noun}")
    rows = g.gwctl("--dump", "commands").stdout.splitlines()
    for row in rows:
        if row.startswith("\t"):
            continue
        words = row.split("\t")[0].split()
        verb = [w for w in words[1:2] if w[0].islower()]
        assert g.gwctl(words[0], *verb, "--help").stdout.startswith(f"usage: gwctl {row.split(chr(9))[0]}")


def test_unreachable(g):
    p = g.gwctl("--server", "http://127.0.0.1:9", "login", "--email", "a@b.c", "--password-file", "-", stdin="x\n",
                check=False)
    assert p.returncode == 6 and "127.0.0.1:9" in p.stderr
    p = g.gwctl("--server", "http://127.0.0.1:9", "tenant", "list", check=False)
    assert p.returncode == 3 and "gwctl login" in p.stderr


def test_completion(g):
    def complete(*words):
        return g.gwctl("--complete", *words).stdout.split()
    assert "user" in complete("us") and "tenant" not in complete("us")
    assert complete("user", "cr") == ["create"]
    assert "--email" in complete("user", "create", "--e")
    assert complete("routing", "resolve", "--kind", "pro") == ["projection"]
    assert complete("-o", "js") == ["json", "jsonl"]
    assert complete("completion", "") == ["bash", "zsh", "fish"]
    for shell in ["bash", "zsh", "fish"]:
        assert "gwctl --complete" in g.gwctl("completion", shell).stdout


def test_completion_in_bash(g):
    script = (f'eval "$({program(GWCTL)} completion bash)"; PATH={os.path.dirname(program(GWCTL))}:$PATH; '
              'COMP_WORDS=(gwctl user cr); COMP_CWORD=2; _gwctl; echo "${COMPREPLY[@]}"')
    p = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env={**os.environ, **g.env})
    assert p.stdout.strip() == "create", p.stderr


def test_full_disk(g):
    for args in ["--help", "version"]:
        p = subprocess.run([program(GWCTL), args], stdout=open("/dev/full", "w"), stderr=subprocess.PIPE, text=True,
                           env={**os.environ, **g.env})
        assert p.returncode == 1 and "stdout" in p.stderr


def test_names_that_are_paths(g, fake):
    """A name can't reach another resource than the one that it names."""
    args = ["--server", f"http://127.0.0.1:{fake.server_port}", "tenant", "get"]
    env, asked = {"GWCTL_TOKEN": "t"}, []
    fake.answer = lambda path: asked.append(path) or (200, "application/json", b"{}")
    for name in ["..", "a/../b", "x?y=1", "ü"]:
        g.gwctl(*args, "--", name, env=env)
    assert asked == ["/admin/tenants/..", "/admin/tenants/a%2F..%2Fb", "/admin/tenants/x%3Fy%3D1",
                     "/admin/tenants/%C3%BC"]
    p = g.gwctl(*args, "", env=env, check=False)
    assert p.returncode == 2 and "ID must not be empty" in p.stderr


def test_version(g):
    assert g.gwctl("version").stdout == g.gwctl("--version").stdout
    assert g.gwctl("version").stdout.startswith("gwctl ")


# ---- TLS, proxies in the way ------------------------------------------------------------------------

class Fake(BaseHTTPRequestHandler):
    """Answers whatever the server's `answer` says: (status, content type, body), or a function of the
    path that returns such."""

    def do_GET(self):
        self.server.seen.append(dict(self.headers))
        answer = self.server.answer
        status, kind, body = answer(self.path) if callable(answer) else answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def fake():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Fake)
    server.answer, server.seen = (200, "application/json", b'{"id":"x","kind":"user"}'), []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_tls_needs_a_known_authority(g, fake):
    cert, key = g.directory / "cert.pem", g.directory / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=gateway", "-addext",
                    "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    fake.socket = tls.wrap_socket(fake.socket, server_side=True)
    args = ["--server", f"https://127.0.0.1:{fake.server_port}", "-o", "json", "whoami"]
    env = {"GWCTL_TOKEN": "a-token"}
    p = g.gwctl(*args, env=env, check=False)
    assert p.returncode == 6 and "certificate" in p.stderr.lower()
    assert fake.seen == []
    assert g.gwctl("--ca", cert, *args, env=env).json()["id"] == "x"
    assert g.gwctl(*args, env={**env, "GWCTL_CA": str(cert)}).json()["id"] == "x"
    assert fake.seen[0]["Authorization"] == "Bearer a-token"


@pytest.mark.parametrize("answer,status,want", [
    ((404, "text/html", b"<html>nothing here</html>"), 4, "not from a gateway"),
    ((502, "text/html", b"<html>bad gateway</html>"), 6, "HTTP 502"),
    ((503, "application/json", b'{"code":"draining","error":"bye"}'), 6, "bye"),
    ((200, "text/html", b"<html>hello</html>"), 6, "not JSON"),
    ((200, "application/json", b'{"id":'), 6, "not JSON"),
    ((403, "application/json", b'{"code":"forbidden","error":"\\u001b[31mnope"}'), 3, "[31mnope"),
    ((500, "application/json", b'[]'), 1, "HTTP 500"),
    ((302, "text/html", b"moved"), 1, "HTTP 302"),
])
def test_answers_that_are_no_gateway(g, fake, answer, status, want):
    fake.answer = answer
    p = g.gwctl("--server", f"http://127.0.0.1:{fake.server_port}", "whoami", env={"GWCTL_TOKEN": "t"}, check=False)
    assert (p.returncode, want in p.stderr) == (status, True), p.stderr
    assert "\x1b" not in p.stderr and p.stdout == ""


def test_all_pages(g, fake):
    asked = []

    def page(path):
        query = parse_qs(urlsplit(path).query)
        asked.append(query)
        first = int(query.get("page_token", ["at+0"])[0][3:])
        n = min(int(query["page_size"][0]), 4)
        items = [{"id": f"t{i}"} for i in range(first, min(first + n, 10))]
        token = f"at+{first + n}" if first + n < 10 else None
        return 200, "application/json", json.dumps({"items": items, "next_page_token": token}).encode()
    fake.answer = page
    args = ["--server", f"http://127.0.0.1:{fake.server_port}", "-o", "json", "tenant", "list"]
    env = {"GWCTL_TOKEN": "t"}
    whole = g.gwctl(*args, env=env).json()
    assert [t["id"] for t in whole["items"]] == [f"t{i}" for i in range(10)] and whole["next_page_token"] is None
    assert [q.get("page_token") for q in asked] == [None, ["at+4"], ["at+8"]]
    some = g.gwctl(*args, "--limit", "6", env=env).json()
    assert len(some["items"]) == 6 and some["next_page_token"] == "at+6"
    assert g.gwctl(*args, "--limit", "0", env=env).json()["items"] == []


def test_a_list_that_is_none(g, fake):
    fake.answer = (200, "application/json", b'{"items":"no"}')
    p = g.gwctl("--server", f"http://127.0.0.1:{fake.server_port}", "tenant", "list", env={"GWCTL_TOKEN": "t"},
                check=False)
    assert p.returncode == 6 and "not a list" in p.stderr
