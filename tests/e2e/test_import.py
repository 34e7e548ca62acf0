"""gwctl user import: users of elsewhere, with the password hashes they have there."""
import base64
import concurrent.futures
import ctypes
import ctypes.util
import hashlib
import json
import os
import re
import signal
import subprocess

import pytest

from harness.gateway import wait_for
from harness.paths import GWCTL, program
from harness.terminal import Terminal
from test_admin import Admin, code

PASSWORD = "seven purple otters juggle"
SALT = b"sixteen bytes ok"


def b64(b, pad=False):
    text = base64.b64encode(b).decode()
    return text if pad else text.rstrip("=")


def scrypt(form, ln=10, r=8, p=1, password=PASSWORD):
    h = hashlib.scrypt(password.encode(), salt=SALT, n=1 << ln, r=r, p=p, dklen=32, maxmem=1 << 30)
    if form == "phc":
        return f"$scrypt$ln={ln},r={r},p={p}${b64(SALT)}${b64(h)}"
    number = f"{ln:02x}{r:02x}{p:02x}"
    return f"${form}${number if form == 's1' else number.lstrip('0')}${b64(SALT, True)}${b64(h, True)}"


def argon2(kind="argon2id", memory=256, passes=1, lanes=1, password=PASSWORD):
    """By the reference implementation."""
    lib = ctypes.CDLL(ctypes.util.find_library("argon2"))
    out = ctypes.create_string_buffer(256)
    size, word = ctypes.c_size_t, ctypes.c_uint32
    rc = getattr(lib, f"{kind}_hash_encoded")(word(passes), word(memory), word(lanes), password.encode(),
                                              size(len(password.encode())), SALT, size(len(SALT)), size(32), out,
                                              size(256))
    assert rc == 0
    return out.value.decode()


HASHES = {
    "scrypt-phc": lambda: scrypt("phc"), "scrypt-s1": lambda: scrypt("s1"), "scrypt-s0": lambda: scrypt("s0"),
    "argon2id": argon2, "argon2i": lambda: argon2("argon2i"), "argon2d": lambda: argon2("argon2d"),
    "argon2id-lanes": lambda: argon2(memory=1024, passes=3, lanes=4),
}


@pytest.fixture
def admin(gateway):
    a = Admin(gateway())
    a.gw.login()
    return a


def write(gw, users, name="users.jsonl"):
    lines = [u if isinstance(u, bytes) else json.dumps(u, ensure_ascii=False).encode() for u in users]
    (gw.directory / name).write_bytes(b"".join(line + b"\n" for line in lines))
    return name


def run(gw, *args, **kw):
    return gw.gwctl("-o", "json", "user", "import", *args, check=False, timeout=kw.pop("timeout", 120), **kw)


def users(admin):
    out, token = {}, ""
    while token is not None:
        page = admin.ok("GET", "/admin/users?page_size=500" + (f"&page_token={token}" if token else ""))
        out.update({u["email"]: u for u in page["items"]})
        token = page["next_page_token"]
    return out


def stored(gw, email):
    return subprocess.run(["sqlite3", gw.directory / "gateway.db", f"SELECT password_phc FROM user WHERE email='{email}'"],
                          capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("kind", HASHES)
def test_a_hash_of_elsewhere_signs_in_and_is_made_anew(admin, kind):
    gw, hash_ = admin.gw, HASHES[kind]()
    r = run(gw, write(gw, [{"email": "a@x.test", "password_hash": hash_, "email_verified": True}]))
    assert (r.returncode, r.json()["created"]) == (0, 1), r.stderr
    assert stored(gw, "a@x.test") == hash_
    assert code(gw.call("POST", "/v1/auth/signin", json={"email": "a@x.test", "password": PASSWORD + "!"})) == \
        (401, "invalid_credentials")
    assert stored(gw, "a@x.test") == hash_
    gw.signin("a@x.test", PASSWORD)
    assert stored(gw, "a@x.test").startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    gw.signin("a@x.test", PASSWORD)


def test_what_a_line_says(gateway):
    admin = Admin(gateway(config={"auth.signup": "verify"}))
    gw = admin.gw
    gw.login()
    hash_ = scrypt("phc")
    r = run(gw, write(gw, [
        {"email": "Full@X.test", "password_hash": hash_, "display_name": "Zoë", "email_verified": True},
        {"email": "bare@x.test"},
        {"email": "off@x.test", "password_hash": hash_, "disabled": True},
    ]))
    assert r.json()["created"] == 3
    full, bare, off = (users(admin)[e] for e in ("Full@X.test", "bare@x.test", "off@x.test"))
    assert (full["email_verified"], full["has_password"], full["display_name"]) == (True, True, "Zoë")
    assert (bare["email_verified"], bare["has_password"], bare["disabled"]) == (False, False, False)
    assert off["disabled"]
    gw.signin("full@x.test", PASSWORD)
    for email in ("bare@x.test", "off@x.test"):
        assert gw.call("POST", "/v1/auth/signin", json={"email": email, "password": PASSWORD}).status_code == 401
    # hashes are secrets: none in the audit log, which has one record of it
    records = admin.ok("GET", "/admin/audit?action=users.import")["items"]
    assert [x["outcome"] for x in records] == ["ok"] and full["id"] in json.dumps(records)
    assert hash_ not in json.dumps(records)


def test_nobody_is_made_twice(admin):
    gw, hash_ = admin.gw, scrypt("phc")
    line = {"email": "a@x.test", "password_hash": hash_}
    name = write(gw, [line, line, {"email": "A@x.test"}, {"email": "root@example.test"}, {"email": "b@x.test"}])
    r = run(gw, name)
    assert r.returncode == 1
    assert {k: r.json()[k] for k in ("created", "unchanged", "rejected", "lines")} == \
        {"created": 2, "unchanged": 0, "rejected": 3, "lines": 5}
    told = [json.loads(x) for x in r.stderr.splitlines()]
    assert [(t["details"]["line"], t["code"]) for t in told[:3]] == [(n, "email_taken") for n in (2, 3, 4)]
    assert (gw.directory / f"{name}.rejected").read_bytes().count(b"\n") == 3
    assert (gw.directory / f"{name}.rejected").stat().st_mode & 0o777 == 0o600
    again = run(gw, name)
    assert {k: again.json()[k] for k in ("created", "unchanged", "rejected")} == \
        {"created": 0, "unchanged": 2, "rejected": 3}
    assert len(users(admin)) == 3


BAD = {
    "not json": (b"{", "bad_json", "column"),
    "a number": (b"7", "bad_json", "column"),
    "a list": (b'["a@x.test"]', "bad_json", "object"),
    "duplicate keys": (b'{"email":"a@x.test","email":"b@x.test"}', "bad_json", "duplicate"),
    "invalid UTF-8": (b'{"email":"a\xff@x.test"}', "bad_json", "decode byte 0xff"),
    "a NUL": (b'{"email":"a\0@x.test"}', "bad_json", "column"),
    "an escaped NUL": (b'{"email":"a\\u0000@x.test"}', "bad_json", "column"),
    "a lone surrogate": (b'{"email":"a\\ud800@x.test"}', "bad_json", "column"),
    "depth": (b'{"email":' + b"[" * 5000, "bad_json", "column"),
    "nested, but not for jansson": (b'{"email":"a@x.test","x":' + b"[" * 40 + b"]" * 40 + b"}", "bad_json", "nested deeper"),
    "two objects": (b'{"email":"a@x.test"} {}', "bad_json", "column"),
    "too long": (b'{"email":"' + b"a" * 70000 + b'"}', "limit", "longer than 65536"),
    "no e-mail": (b"{}", "invalid_field", "email is required"),
    "a bad e-mail": (b'{"email":"nobody"}', "invalid_field", "e-mail"),
    "an unknown field": (b'{"email":"a@x.test","password":"x"}', "unknown_field", "password"),
    "a password as the hash": (b'{"email":"a@x.test","password_hash":"hunter2 hunter2"}', "invalid_field", "Argon2"),
    "bcrypt": (b'{"email":"a@x.test","password_hash":"$2b$12$abcdefghijklmnopqrstuv"}', "invalid_field", "Argon2"),
}
BOMBS = {
    "4 GiB": argon2().replace("m=256", "m=4194304"), "257 MiB": argon2().replace("m=256", "m=263168"),
    "past 32 bits": argon2().replace("m=256", "m=4294967296"), "negative": argon2().replace("m=256", "m=-1"),
    "no memory": argon2().replace("m=256", "m=0"), "passes": argon2().replace("t=1", "t=4000000000"),
    "64 passes of 64 MiB": argon2().replace("m=256,t=1", "m=65536,t=64"), "lanes": argon2().replace("p=1", "p=255"),
    "scrypt of 1 GiB": scrypt("phc").replace("ln=10", "ln=20"), "scrypt ln": scrypt("phc").replace("ln=10", "ln=63"),
    "scrypt r": scrypt("phc").replace("r=8", "r=4294967295"), "s1": scrypt("s1").replace("0a0801", "ffffff"),
    "s0": scrypt("s0").replace("a0801", "140801"), "short hash": "$argon2id$v=19$m=256,t=1,p=1$c29tZXNhbHQ$AAAAAAAA",
    "long salt": argon2().replace(b64(SALT), "A" * 400), "a long text": "$argon2id$" + "A" * 4000,
}


def test_bad_lines_are_told_and_kept(admin):
    gw = admin.gw
    lines = [b for b, _, _ in BAD.values()]
    name = write(gw, [{"email": "first@x.test"}, *lines, {"email": "last@x.test"}])
    r = run(gw, name)
    told = [json.loads(x) for x in r.stderr.splitlines()]
    by_line = {t["details"]["line"]: t for t in told[:-1]}
    for number, (what, (_, code_, text)) in enumerate(BAD.items(), 2):
        assert by_line[number]["code"] == code_ and text in by_line[number]["error"], (what, by_line[number])
    assert f"{len(BAD)} lines were rejected" in told[-1]["error"] and r.returncode == 1
    kept = (gw.directory / f"{name}.rejected").read_bytes()
    assert sorted(kept.splitlines()) == sorted(x for x in lines if len(x) <= 65536)
    assert set(users(admin)) == {"root@example.test", "first@x.test", "last@x.test"}


def test_a_hash_that_would_cost_too_much_is_refused(admin):
    gw = admin.gw
    r = run(gw, write(gw, [{"email": f"u{i}@x.test", "password_hash": h} for i, h in enumerate(BOMBS.values())]))
    told = [json.loads(x) for x in r.stderr.splitlines()]
    assert [t["details"]["line"] for t in told[:-1]] == list(range(1, len(BOMBS) + 1)), list(BOMBS)
    by = dict(zip(BOMBS, told))
    assert "256 MiB" in by["4 GiB"]["error"] and "1024 MiB" in by["64 passes of 64 MiB"]["error"]
    assert len(users(admin)) == 1


def test_bom_crlf_blank_lines_and_no_end(admin):
    (admin.gw.directory / "dos.jsonl").write_bytes(
        b'\xef\xbb\xbf{"email":"a@x.test"}\r\n\r\n   \r\n{"email":"b@x.test"}\r\n{"email":"c@x.test"}')
    r = run(admin.gw, "dos.jsonl")
    assert (r.returncode, r.json()["created"], r.json()["lines"]) == (0, 3, 5), r.stderr
    assert not (admin.gw.directory / "dos.jsonl.rejected").exists()


def test_what_is_no_file_of_lines(admin):
    gw = admin.gw
    (gw.directory / "dir").mkdir()
    (gw.directory / "empty").write_bytes(b"")
    assert run(gw, "dir").returncode == 1 and "directory" in run(gw, "dir").stderr.lower()
    assert "No such file" in run(gw, "nowhere").stderr
    assert run(gw, "empty").json()["created"] == 0
    assert run(gw, "-", stdin='{"email":"piped@x.test"}\n').json()["created"] == 1
    r = run(gw, "-", "--rejects", "bad", stdin="nonsense\n")
    assert r.returncode == 1 and (gw.directory / "bad").read_text() == "nonsense\n"
    assert run(gw, "/dev/null").json()["lines"] == 0


def test_a_gateway_that_takes_less_at_once(gateway):
    admin = Admin(gateway(config={"limits.body": "4KiB"}))
    admin.gw.login()
    people = [{"email": f"u{i}@x.test"} for i in range(1200)]
    people[700] = {"email": "long@x.test", "display_name": "x" * 5000}
    r = run(admin.gw, write(admin.gw, people))
    assert {k: r.json()[k] for k in ("created", "rejected")} == {"created": 1199, "rejected": 1}
    assert [json.loads(x)["details"]["line"] for x in r.stderr.splitlines()[:-1]] == [701]


def test_rejected_lines_destroy_nothing(admin):
    """Where they are kept is made anew, so it is a plain file and not the one that is imported."""
    directory = admin.gw.directory
    name = write(admin.gw, [{"email": "a@x.test"}, b"bad"])
    before = (directory / name).read_bytes()
    (directory / "dir").mkdir()
    (directory / "precious").write_text("precious")
    (directory / "link").symlink_to("precious")
    os.mkfifo(directory / "pipe")
    (directory / "same").hardlink_to(directory / name)
    for where in ("dir", "link", "pipe", "same", name, f"./{name}", ""):
        r = run(admin.gw, name, "--rejects", where)
        assert r.returncode == 2 and json.loads(r.stderr)["code"] == "usage", (where, r.stderr)
    assert (directory / "link").is_symlink() and (directory / "precious").read_text() == "precious"
    assert (directory / "pipe").is_fifo() and (directory / name).read_bytes() == before
    assert set(users(admin)) == {"root@example.test"}
    (directory / "old").write_text("of an earlier import, for all to read")
    assert run(admin.gw, name, "--rejects", "old").returncode == 1
    assert (directory / "old").read_text() == "bad\n" and (directory / "old").stat().st_mode & 0o777 == 0o600


def test_rejected_lines_that_somebody_took_away(admin):
    """An import that goes on leaves no hole where they were."""
    gw = admin.gw
    name = write(gw, [b"bad", *({"email": f"u{i}@x.test"} for i in range(700)), b"worse"])
    state = gw.directory / f"{name}.rejected.state"
    gw.stop()
    assert run(gw, name).returncode == 6
    kept = json.loads(state.read_text())
    state.write_text(json.dumps({**kept, "reject_size": 4096, "offset": 4, "line": 1, "rejected": 1}))
    (gw.directory / f"{name}.rejected").unlink()
    gw.replicas[0].start()
    assert run(gw, name).json()["rejected"] == 2
    assert (gw.directory / f"{name}.rejected").read_text() == "worse\n"


def test_a_line_of_a_gigabyte(admin):
    """Neither read into memory nor kept."""
    gw = admin.gw
    with open(gw.directory / "big", "wb") as f:
        f.write(b'{"email":"a@x.test"}\n')
        f.truncate(1 << 30)
        f.seek(1 << 30)
        f.write(b'\n{"email":"b@x.test"}\n')
    # less memory than the line has bytes; sanitizers map far more than that for themselves
    limit = ["prlimit", f"--as={512 << 20}"] if os.environ.get("GW_VARIANT", "release") == "release" else []
    p = subprocess.run([*limit, program(GWCTL), "user", "import", "big"], cwd=gw.directory, env={**os.environ, **gw.env},
                       capture_output=True, text=True)
    assert p.returncode == 1, p.stderr
    assert "line 2: longer than" in p.stderr
    assert set(users(admin)) == {"root@example.test", "a@x.test", "b@x.test"}


def test_dry_run_changes_nothing(admin):
    gw = admin.gw
    name = write(gw, [{"email": "a@x.test"}, b"bad", {"email": "root@example.test"}])
    before = set(os.listdir(gw.directory))
    r = run(gw, name, "--dry-run")
    assert {k: r.json()[k] for k in ("created", "rejected")} == {"created": 1, "rejected": 2}
    assert len(users(admin)) == 1 and set(os.listdir(gw.directory)) == before
    assert admin.ok("GET", "/admin/audit?action=users.import")["items"] == []


def test_only_the_platforms_administrators_import(admin):
    admin.tenant("acme")
    admin.user("admin@acme.test", ("acme", "tenant-admin"))
    body = {"items": [{"email": "a@x.test"}]}
    assert code(admin.call("POST", "/admin/users:import", admin.token("admin@acme.test"), body)) == (403, "forbidden")
    for bad in ({"items": []}, {"items": [{"email": "a@x.test"}] * 501}, {}, {"items": {}}):
        assert code(admin.call("POST", "/admin/users:import", body=bad))[0] == 400
    r = admin.ok("POST", "/admin/users:import", body={"items": [7, {"email": "a@x.test"}, {"email": "A@x.test"}]})
    assert [x["status"] for x in r["results"]] == [400, 201, 409]


@pytest.mark.parametrize("store, replicas", [("sqlite", 1), ("rqlite", 2)])
def test_many_imports_of_the_same_people(gateway, store, replicas):
    """However many race, each address becomes one user, and each but one of the racers is told so."""
    admin = Admin(gateway(store=store, replicas=replicas))

    def go(i):
        items = [{"email": f"u{(i + k) % 60}@x.test", "display_name": str(i), "password_hash": scrypt("phc", 4, 1, 1 + i)}
                 for k in range(40)]
        return admin.ok("POST", "/admin/users:import", body={"items": items}, replica=i % replicas)["results"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = [x for r in pool.map(go, range(8)) for x in r]
    made = [x["id"] for x in results if x["status"] == 201]
    assert {x["status"] for x in results} == {201, 409}
    assert sorted(made) == sorted(u["id"] for e, u in users(admin).items() if e != "root@example.test")


def test_killed_and_run_again(admin):
    """Wherever it is killed, the next run goes on, and at the end everybody is there once."""
    gw, n = admin.gw, 20000
    name = write(gw, [{"email": f"u{i}@x.test"} for i in range(n)] + [b"bad"])
    argv, env = [program(GWCTL), "user", "import", name], {**os.environ, **gw.env}
    state = gw.directory / f"{name}.rejected.state"

    def line():
        try:
            return json.loads(state.read_text())["line"]
        except FileNotFoundError:
            return 0
    for goal in (1, 4000, 9000):
        p = subprocess.Popen(argv, cwd=gw.directory, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(gw, lambda: line() >= goal or p.poll() is not None, what=f"line {goal}")
        assert p.poll() is None, "it was done before it could be killed"
        p.send_signal(signal.SIGKILL)
        p.wait()
    r = run(gw, name)
    assert "going on behind line" in r.stderr
    assert {k: r.json()[k] for k in ("created", "unchanged", "rejected", "lines")} == \
        {"created": n, "unchanged": 0, "rejected": 1, "lines": n + 1}
    assert (gw.directory / f"{name}.rejected").read_text() == "bad\n" and not state.exists()
    assert len(users(admin)) == n + 1


def test_a_gateway_that_is_gone_is_no_loss(admin):
    gw = admin.gw
    name = write(gw, [{"email": f"u{i}@x.test"} for i in range(20)])
    gw.stop()
    r = run(gw, name)
    assert r.returncode == 6 and "run it again" in r.stderr
    gw.replicas[0].start()
    assert run(gw, name).json()["created"] == 20


def test_a_changed_file_is_begun_anew(admin):
    gw = admin.gw
    name = write(gw, [{"email": "a@x.test"}])
    state = gw.directory / f"{name}.rejected.state"
    gw.stop()
    run(gw, name)
    assert state.exists()
    gw.replicas[0].start()
    write(gw, [{"email": "b@x.test"}, {"email": "c@x.test"}])
    assert run(gw, name).json()["created"] == 2
    state.write_text("{}")
    r = run(gw, name)
    assert r.returncode == 1 and "is not what an import left" in r.stderr
    assert run(gw, name, "--restart").json()["unchanged"] == 2


def test_progress_on_a_terminal(admin):
    gw = admin.gw
    name = write(gw, [{"email": f"u{i}@x.test"} for i in range(3000)] + [b"bad"])
    t = Terminal(gw, "user", "import", gw.directory / name)
    assert t.wait() == 1
    assert re.search(r"\r\x1b\[K +\d+% \[#*\.*\] \d+ users", t.seen), t.seen
    assert "\x1b[Kgwctl: line 3001: " in t.seen  # the bar makes room for what is told
