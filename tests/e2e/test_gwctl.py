"""gwctl against a running gateway: sessions, identity, assignments, routing; output, exit codes."""
import json
import os
import stat
import subprocess
import threading
import uuid

import pytest

from harness.gateway import ADMIN_EMAIL, ADMIN_PASSWORD
from harness.paths import GWCTL, program
from harness.terminal import Terminal

PASSWORD = "another correct battery horse"


@pytest.fixture
def g(gateway):
    g = gateway()
    g.login()
    return g


def fails(g, status, *args, **kw):
    """The error, as JSON, of a call that must end with this status."""
    p = g.ctl(*args, check=False, **kw)
    assert p.returncode == status, f"{args}: {p.returncode} {p.stdout}{p.stderr}"
    assert p.stdout == ""
    return json.loads(p.stderr.splitlines()[-1])


def email():
    return f"{uuid.uuid4().hex[:12]}@example.test"


def user(g, password=True):
    address = email()
    extra = ["--password-file", g.write(f"pw-{address}", PASSWORD)] if password else []
    return g.ctl("user", "create", "--email", address, *extra).json()


# ---- sessions ---------------------------------------------------------------------------------------

def test_login_whoami_logout(g):
    me = g.ctl("whoami").json()
    assert me["email"] == ADMIN_EMAIL and me["kind"] == "user"
    path = g.directory / "xdg" / "gateway" / "contexts.json"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    contexts = g.gwctl("-o", "json", "context", "list")
    assert [c["current"] for c in contexts.json()["items"]] == ["*"]
    stored = json.loads(path.read_text())["contexts"]
    token = list(stored.values())[0]["refresh_token"]
    assert token not in contexts.stdout
    # the context is used without naming a server
    assert g.gwctl("-o", "name", "whoami").stdout.strip() == me["id"]
    before = path.read_text()
    [name] = stored
    for words in (("logout",), ("context", "use", name), ("context", "delete", name)):
        assert g.gwctl("-o", "json", *words, "--dry-run").json() == {"dry_run": True, "context": name}
    assert path.read_text() == before and g.gwctl("whoami").returncode == 0
    g.gwctl("logout")
    assert json.loads(path.read_text())["contexts"] == {}
    assert fails(g, 3, "whoami")["code"] == "unauthenticated"
    # the session has ended at the gateway too
    assert g.call("POST", "/v1/auth/refresh", json={"refresh_token": token}).status_code == 401


def test_wrong_password(g):
    error = fails(g, 3, "login", "--email", ADMIN_EMAIL, "--password-file", "-", stdin="wrong password\n")
    assert error["code"] == "invalid_credentials" and error["request_id"]


def test_password_on_the_terminal(g):
    servers = g.replicas[0].admin
    t = Terminal(g, "--server", servers, "login", "--email", ADMIN_EMAIL).expect("password: ")
    t.type(ADMIN_PASSWORD + "\r")
    assert t.wait() == 0
    assert ADMIN_PASSWORD not in t.seen and ADMIN_EMAIL in t.seen
    t = Terminal(g, "user", "list").expect("EMAIL")
    assert t.wait() == 0 and ADMIN_EMAIL in t.seen


def test_two_contexts(g):
    u = user(g)
    g.gwctl("--server", g.replicas[0].admin, "--context", "other", "login", "--email", u["email"],
            "--password-file", "-", stdin=PASSWORD + "\n")
    assert g.gwctl("-o", "json", "whoami").json()["email"] == u["email"]
    first = [c["name"] for c in g.gwctl("-o", "json", "context", "list").json()["items"] if c["name"] != "other"][0]
    g.gwctl("context", "use", first)
    assert g.gwctl("-o", "json", "whoami").json()["email"] == ADMIN_EMAIL
    assert g.gwctl("-o", "json", "--context", "other", "whoami").json()["email"] == u["email"]
    g.gwctl("context", "delete", "other")
    p = g.gwctl("context", "use", "other", check=False)
    assert p.returncode == 4


def expire(g):
    """Makes the stored access tokens look old, so that the next call refreshes."""
    path = g.directory / "xdg" / "gateway" / "contexts.json"
    stored = json.loads(path.read_text())
    for c in stored["contexts"].values():
        c["expires_at"] = 0
    path.write_text(json.dumps(stored))
    return [c["refresh_token"] for c in stored["contexts"].values()][0]


def test_refresh_is_silent(g):
    old = expire(g)
    assert g.ctl("whoami").json()["email"] == ADMIN_EMAIL
    path = g.directory / "xdg" / "gateway" / "contexts.json"
    assert [c["refresh_token"] for c in json.loads(path.read_text())["contexts"].values()][0] != old


def test_many_at_once_refresh_once(g):
    expire(g)
    seen = []

    def one():
        seen.append(g.ctl("whoami", check=False))
    threads = [threading.Thread(target=one) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [p.returncode for p in seen] == [0] * 8, [p.stderr for p in seen]


def test_ended_session(g):
    expire(g)
    u = g.ctl("whoami", check=False)
    assert u.returncode == 0
    token = g.signin()["access_token"]
    g.admin("DELETE", f"/admin/users/{u.json()['id']}/sessions", token)
    error = fails(g, 3, "whoami")
    assert error["code"] == "unauthenticated" and "gwctl login" in error["error"]


# ---- identity ---------------------------------------------------------------------------------------

def test_tenants(g):
    made = g.ctl("tenant", "create", "acme", "--name", "Acme").json()
    assert made["id"] == "acme" and made["name"] == "Acme"
    assert fails(g, 5, "tenant", "create", "acme", "--name", "Acme")["code"] == "conflict"
    assert fails(g, 2, "tenant", "create", "Not-Allowed")["code"] == "invalid_field"
    assert g.ctl("tenant", "get", "acme").json()["name"] == "Acme"
    assert g.ctl("tenant", "update", "acme", "--name", "Acme Ltd").json()["name"] == "Acme Ltd"
    assert fails(g, 5, "tenant", "update", "acme", "--name", "X", "--if-match", made["etag"])["code"] == \
        "precondition_failed"
    assert fails(g, 2, "tenant", "delete", "acme")["code"] == "usage"
    g.ctl("tenant", "delete", "acme", "--yes")
    assert fails(g, 4, "tenant", "get", "acme")["code"] == "not_found"


def test_users(g):
    u = user(g)
    assert g.ctl("user", "get", u["email"]).json()["id"] == u["id"]
    assert g.ctl("user", "get", u["id"]).json()["email"] == u["email"]
    assert fails(g, 5, "user", "create", "--email", u["email"])["code"] == "email_taken"
    assert g.ctl("user", "update", u["email"], "--display-name", "Ann").json()["display_name"] == "Ann"
    assert g.ctl("user", "disable", u["email"]).json()["disabled"] is True
    assert g.ctl("user", "enable", u["email"]).json()["disabled"] is False
    g.ctl("user", "password", u["email"], "--password-file", "-", stdin="a third horse of battery\n")
    g.signin(u["email"], "a third horse of battery")
    assert len(g.ctl("user", "sessions", u["email"]).json()["items"]) == 1
    g.ctl("user", "disable", u["email"], "--yes")  # nothing is asked, but scripts may say so everywhere
    g.ctl("user", "enable", u["email"], "--yes")
    g.ctl("user", "signout", u["email"], "--yes")
    assert g.ctl("user", "sessions", u["email"]).json()["items"] == []
    g.ctl("user", "delete", u["email"], "--yes")
    assert fails(g, 4, "user", "get", u["email"])["code"] == "not_found"
    assert fails(g, 4, "user", "get", u["id"])["code"] == "not_found"


def test_dry_run_changes_nothing(g):
    address = email()
    plan = g.ctl("user", "create", "--email", address, "--password-file", "-", "--dry-run", stdin=PASSWORD + "\n")
    assert plan.json()["method"] == "POST" and plan.json()["path"] == "/admin/users"
    assert PASSWORD not in plan.stdout
    assert fails(g, 4, "user", "get", address)
    g.ctl("tenant", "create", "acme")
    g.ctl("tenant", "delete", "acme", "--dry-run")
    g.ctl("tenant", "get", "acme")


def test_lists_are_whole(g):
    for _ in range(7):
        user(g, password=False)
    rows = g.ctl("user", "list").json()
    assert len(rows["items"]) == 8 and rows["next_page_token"] is None
    some = g.ctl("user", "list", "--limit", "3").json()
    assert len(some["items"]) == 3 and some["next_page_token"]
    lines = g.gwctl("user", "list").stdout.splitlines()
    assert len(lines) == 8 and all(len(line.split("\t")) == 5 for line in lines)
    assert g.gwctl("user", "list", "-o", "name").stdout.split() == [u["id"] for u in rows["items"]]
    assert [json.loads(line) for line in g.gwctl("user", "list", "-o", "jsonl").stdout.splitlines()] == rows["items"]


def test_roles_and_assignments(g):
    g.ctl("tenant", "create", "acme")
    u = user(g)
    role = g.ctl("role", "create", "orders", "--name", "Orders", "--tenant", "acme", "--right",
                 "command.submit:order*", "--right", "query.execute").json()
    assert {(r["right"], r["resource"]) for r in role["rights"]} == {("command.submit", "order*"), ("query.execute", "*")}
    made = g.ctl("assignment", "add", "--principal", u["email"], "--tenant", "acme", "--role", "orders").json()
    assert made["principal"] == u["id"]
    assert fails(g, 5, "assignment", "add", "--principal", u["id"], "--tenant", "acme", "--role", "orders")
    assert [a["id"] for a in g.ctl("assignment", "list", "--principal", u["email"]).json()["items"]] == [made["id"]]
    explained = g.ctl("authz", "explain", "--principal", u["email"], "--tenant", "acme", "--right", "command.submit",
                      "--resource", "order1").json()
    assert explained["allowed"] is True
    assert fails(g, 4, "assignment", "add", "--principal", "nobody@example.test", "--tenant", "acme", "--role", "orders")
    g.ctl("assignment", "remove", made["id"], "--yes")
    assert g.ctl("assignment", "list", "--principal", u["email"]).json()["items"] == []
    assert fails(g, 5, "role", "delete", "platform-admin", "--yes")["code"] == "built_in"
    assert {r["id"] for r in g.ctl("role", "list").json()["items"]} >= {"orders", "platform-admin", "tenant-admin"}
    assert "command.submit" in {r["right"] for r in g.ctl("right", "list").json()["items"]}


def test_forbidden(g):
    u = user(g)
    g.login(u["email"], PASSWORD)
    assert fails(g, 3, "tenant", "create", "acme")["code"] in ("forbidden", "tenant_forbidden")


def test_last_admin_stays(g):
    assert fails(g, 5, "user", "delete", ADMIN_EMAIL, "--yes")["code"] == "last_admin"


def test_confirmation_on_the_terminal(g):
    g.ctl("tenant", "create", "acme")
    t = Terminal(g, "tenant", "delete", "acme").expect("[y/N]: ").type("n\r")
    assert t.wait() == 1 and "cancelled" in t.seen
    g.ctl("tenant", "get", "acme")
    t = Terminal(g, "tenant", "delete", "acme").expect("[y/N]: ").type("y\r")
    assert t.wait() == 0
    fails(g, 4, "tenant", "get", "acme")


def test_service_accounts(g):
    a = g.ctl("service-account", "create", "robot").json()
    c = g.ctl("service-account", "issue", a["id"], "--kind", "api_key").json()
    assert c["secret"].startswith("gwk_")
    listed = g.ctl("service-account", "credentials", a["id"])
    assert [x["id"] for x in listed.json()["items"]] == [c["id"]] and c["secret"] not in listed.stdout
    g.ctl("service-account", "revoke", a["id"], c["id"], "--yes")
    g.ctl("service-account", "delete", a["id"], "--yes")
    fails(g, 4, "service-account", "get", a["id"])


def test_keys(g):
    before = g.ctl("key", "list").json()["items"]
    g.ctl("key", "rotate", "--yes")
    after = g.ctl("key", "list").json()["items"]
    assert len(after) > len(before) or {k["state"] for k in after} != {k["state"] for k in before}
    assert g.ctl("whoami").json()["email"] == ADMIN_EMAIL


# ---- routing ----------------------------------------------------------------------------------------

def test_routing(g):
    doc = {"projection_placement": {"acme": "p1"}, "projection_shards": {"p1": ["http://127.0.0.1:9"]}}
    path = g.write("routing.json", json.dumps(doc))
    assert g.ctl("routing", "put", "-f", path).json()["revision"] == 1
    got = g.ctl("routing", "get").json()
    assert got["revision"] == 1 and got["projection_placement"] == {"acme": "p1"}
    # a file that was fetched, edited and put again
    got["projection_placement"]["beta"] = "p1"
    edited = g.write("edited.yaml", json.dumps(got))
    diff = g.ctl("routing", "diff", "-f", edited).json()["items"]
    assert [(d["op"], d["path"], d["to"]) for d in diff] == [("add", "/projection_placement/beta", "p1")]
    assert g.ctl("routing", "put", "-f", edited).json()["revision"] == 2
    assert fails(g, 5, "routing", "put", "-f", g.write("old.json", json.dumps({**doc, "revision": 1})))["code"] == \
        "revision_conflict"
    bad = fails(g, 2, "routing", "put", "-f", g.write("bad.json", json.dumps({"projection_placement": {"a": "nope"}})))
    assert bad["code"] == "routing_invalid" and bad["details"]
    g.ctl("routing", "set", "gamma", "--kind", "projection", "--shard", "p2", "--endpoint", "http://127.0.0.1:10")
    where = g.ctl("routing", "resolve", "--tenant", "gamma", "--kind", "projection").json()
    assert where["shard"] == "p2" and where["endpoints"][0]["url"].startswith("http://127.0.0.1:10")
    g.ctl("routing", "set", "gamma", "--kind", "projection")
    fails(g, 4, "routing", "resolve", "--tenant", "gamma", "--kind", "projection")
    assert [d["op"] for d in g.ctl("routing", "diff").json()["items"]] == ["remove"]
    assert [r["revision"] for r in g.ctl("routing", "revisions").json()["items"]] == [4, 3, 2, 1]
    assert g.ctl("routing", "show", "1").json()["document"]["projection_placement"] == {"acme": "p1"}
    assert g.ctl("routing", "rollback", "1", "--yes").json()["revision"] == 5
    assert g.gwctl("routing", "get").stdout.splitlines() == ["projection\tacme\tp1\thttp://127.0.0.1:9"]
    g.ctl("routing", "reload")


def test_output_that_goes_nowhere(g):
    """A secret that could not be printed is an error, and not in whatever was opened in its place."""
    server = g.replicas[0].admin
    for where, said in ((">&-", "Bad file descriptor"), (">/dev/full", "No space left on device")):
        p = subprocess.run(f'exec "$GWCTL" --server {server} key list {where}', shell=True, capture_output=True, text=True,
                           env={**os.environ, **g.env, "GWCTL": program(GWCTL)})
        assert p.returncode == 1 and said in p.stderr, (where, p)


def test_several_servers(gateway):
    g = gateway(store="rqlite", replicas=2)
    g.login()
    g.replicas[0].stop()
    for _ in range(4):
        assert g.ctl("whoami").json()["email"] == ADMIN_EMAIL
    g.replicas[1].stop()
    assert g.ctl("whoami", check=False).returncode == 6
