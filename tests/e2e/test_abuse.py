"""Guessing is slowed down, by address and by account, on all replicas together; nobody is locked out by it. Clients
at many addresses: 127.0.0.0/8 is all loopback, or a proxy that is trusted says who they are."""
import base64
import collections
import concurrent.futures
import http.client
import itertools
import json
import math
import sqlite3
import time

import pytest

from harness.wait import until

PASSWORD = "seven purple otters juggle"
WRONG = "not the right password"
PER_ACCOUNT = 10  # the defaults
PER_ADDRESS = 100
TICK = 1 / 8  # seconds, to which the attempts of addresses are remembered


class Status(int):
    """... of an attempt that was somewhere between two times; the seconds that a 429 tells to wait."""

    def __new__(cls, code, began, wait=None):
        self = super().__new__(cls, code)
        self.began, self.ended, self.wait = began, time.monotonic(), int(wait or 0)
        return self


def ask(gw, path, body, source="127.0.0.1", replica=0, headers=None, method="POST"):
    """A request from an address of loopback: status, headers, JSON."""
    host, port = gw.replicas[replica].address["http"].rsplit(":", 1)
    began = time.monotonic()
    c = http.client.HTTPConnection(host, int(port), timeout=60, source_address=(source, 0))
    data = body if isinstance(body, str) else json.dumps(body)
    c.request(method, path, data, {"content-type": "application/json", **(headers or {})})
    r = c.getresponse()
    text = r.read()
    c.close()
    return Status(r.status, began, r.headers["retry-after"]), r.headers, json.loads(text) if text else None


def signin(gw, email, password, source="127.0.0.1", replica=0, **kw):
    return ask(gw, "/v1/auth/signin", {"email": email, "password": password}, source, replica, **kw)


def status(answer):
    """401, 200 ...; a 429 must say how long to wait, and nothing else."""
    code, headers, body = answer
    if code == 429:
        assert body["code"] == "rate_limited" and body["details"] == {} and int(headers["retry-after"]) >= 1
    return code


def wrong(gw, email, n, source="127.0.0.1"):
    """The statuses of n wrong passwords, in turns on all replicas."""
    return [status(signin(gw, email, WRONG, source, i % len(gw.replicas))) for i in range(n)]


def held(answers, free=PER_ACCOUNT, good=401):
    """Those that are free, then refusals that tell how long; one more is let in when a delay of 1, 2, 4 ... seconds
    is over, counted from the one before: also on a machine where that takes less than an attempt. How many were
    refused."""
    counted, last = 0, None
    for a in answers:
        if counted < free:
            assert a == good, answers
        else:
            delay = 2 ** (counted - free)
            least, most = delay - TICK - (a.ended - last.began), delay + TICK - (a.began - last.ended)
            assert a in ([429] if least > 0 else [good] if most <= 0 else [429, good]), (a, least, most, answers)
            assert a != 429 or math.ceil(least) <= a.wait <= math.ceil(most), (a.wait, least, most, answers)
        if a == good:
            counted, last = counted + 1, a
    refused = list(answers).count(429)
    assert refused > 0, answers
    return refused


def besiege(gw, email, source=None):
    """Wrong passwords from one address, or from everywhere, until whoever tries must wait for 8 seconds."""
    hosts = itertools.count()

    def attempt():
        n = next(hosts)
        answer = signin(gw, email, WRONG, source or f"127.9.{n % 250}.1", n % len(gw.replicas))
        return status(answer) == 429 and int(answer[1]["retry-after"]) > 4
    until(attempt)


def user(gw, email="ann@example.test"):
    gw.admin("POST", "/admin/users", gw.signin()["access_token"], {"email": email, "password": PASSWORD})
    return email


def limited(gw, rule, replica=0):
    text = gw.call("GET", "/metrics", listener="admin", replica=replica).text
    return int(next(line for line in text.splitlines()
                    if line.startswith(f'gateway_rate_limited_total{{rule="{rule}"}}')).rsplit(" ", 1)[1])


@pytest.fixture(params=["sqlite", "rqlite"])
def pair(gateway, request):
    return gateway(request.param, replicas=2)


def test_two_replicas_hold_the_limit_of_an_account_together(pair):
    ann = user(pair)
    refused = held(wrong(pair, ann, 16))
    assert limited(pair, "signin_account", 0) + limited(pair, "signin_account", 1) == refused
    besiege(pair, ann, "127.0.0.1")
    # nor does the right password come in from there: it is not even looked at
    assert status(signin(pair, ann, PASSWORD)) == 429


def test_a_kill_forgets_nothing(pair):
    ann = user(pair)
    answers = wrong(pair, ann, 12)
    for r in pair.replicas:
        r.kill()
        r.start()
    # the first delay may be over by now; but the next comes at once
    held(answers + wrong(pair, ann, 2))


def test_a_delay_that_is_waited_for_is_over(pair):
    ann = user(pair)
    answers = wrong(pair, ann, PER_ACCOUNT)

    def longer():
        answers.append(status(signin(pair, ann, WRONG, replica=len(answers) % 2)))
        return answers[-1].wait > 4
    until(longer)
    held(answers)
    assert answers.count(401) == PER_ACCOUNT + 3  # behind 1, 2 and 4 seconds


def test_strangers_do_not_keep_the_owner_out(pair):
    ann = user(pair)
    assert status(signin(pair, ann, PASSWORD, "127.1.0.1")) == 200
    held([status(signin(pair, ann, WRONG, f"127.10.{i // 5}.1", i % 2)) for i in range(60)], 3 * PER_ACCOUNT)
    besiege(pair, ann)
    for replica in (0, 1):
        assert status(signin(pair, ann, PASSWORD, "127.1.0.1", replica)) == 200
    assert status(signin(pair, ann, PASSWORD, "127.1.0.2")) == 429


def test_a_reset_by_mail_lets_the_owner_in_from_a_new_place(gateway):
    gw = gateway(config={"auth.signup": "verify"})
    ann = user(gw)
    besiege(gw, ann)
    assert status(signin(gw, ann, PASSWORD, "127.1.0.2")) == 429
    assert ask(gw, "/v1/auth/forgot", {"email": ann}, "127.1.0.2")[0] == 202
    letter = until(lambda: list((gw.directory / "mail").glob("[!.]*.eml")))[0].read_text()
    link = letter.split("token=")[1].split()[0]
    assert ask(gw, "/v1/auth/reset", {"token": link, "new_password": "nine yellow badgers"}, "127.1.0.2")[0] == 204
    assert status(signin(gw, ann, "nine yellow badgers", "127.1.0.2")) == 200
    besiege(gw, ann)
    assert status(signin(gw, ann, "nine yellow badgers", "127.1.0.3")) == 429


def test_an_administrator_lets_somebody_in(gateway):
    gw = gateway()
    ann = user(gw)
    besiege(gw, ann)
    assert status(signin(gw, ann, PASSWORD, "127.1.0.2")) == 429
    root = gw.signin()["access_token"]
    found = gw.admin("GET", f"/admin/users?email={ann}", root)["items"][0]
    gw.admin("PUT", f"/admin/users/{found['id']}/password", root, {"password": "nine yellow badgers"})
    assert status(signin(gw, ann, "nine yellow badgers", "127.1.0.2")) == 200


def test_a_spray_over_many_accounts_is_held_by_its_address(gateway):
    gw = gateway(config={"auth.argon2.memory_kib": 512})
    answers = [status(signin(gw, f"user{i}@example.test", WRONG, "127.9.0.1")) for i in range(PER_ADDRESS + 20)]
    assert limited(gw, "signin_address") == held(answers, PER_ADDRESS)
    assert status(signin(gw, "user1@example.test", WRONG, "127.9.0.2")) == 401
    user(gw)  # whose administrator is at another address: 127.0.0.1


def test_what_exists_and_what_does_not_are_refused_alike(gateway):
    gw = gateway()
    user(gw)
    seen = set()
    for i, email in enumerate(("ann@example.test", "nobody@example.test", "no address at all")):
        source = f"127.2.0.{i}"
        answers = [signin(gw, email, WRONG, source) for _ in range(PER_ACCOUNT + 2)]
        held([status(a) for a in answers])
        for code, headers, body in answers:
            body["request_id"] = ""
            seen.add((int(code), json.dumps(body), headers["content-length"], len(headers)))
        # one account, however it is written
        assert "@" not in email or 429 in [status(signin(gw, email.upper(), WRONG, source)) for _ in range(2)]
    assert len(seen) == 2, seen


def test_basic_counts_as_sign_in_does(gateway):
    gw = gateway(config={"auth.allow_basic_without_tls": True})
    ann = user(gw)

    def basic(password, source):
        text = base64.b64encode(f"{ann}:{password}".encode()).decode()
        return status(ask(gw, "/v1/me", "", source, headers={"authorization": f"Basic {text}"}, method="GET"))
    held([basic(WRONG, "127.3.0.1") for _ in range(12)])
    besiege(gw, ann, "127.3.0.1")
    assert basic(PASSWORD, "127.3.0.1") == 429
    assert basic(PASSWORD, "127.3.0.2") == 200  # and is known from now on
    besiege(gw, ann)
    assert basic(PASSWORD, "127.3.0.3") == 429 and basic(PASSWORD, "127.3.0.2") == 200


def test_secrets_of_machines_are_never_kept_waiting(gateway):
    gw = gateway()
    root = gw.signin()["access_token"]
    sa = gw.admin("POST", "/admin/service-accounts", root, {"name": "robot"})
    made = [gw.admin("POST", f"/admin/service-accounts/{sa['id']}/credentials", root, {"kind": kind})
            for kind in ("api_key", "secret")]
    key, secret = made[0]["secret"], made[1]["secret"]

    def me(k):
        return status(ask(gw, "/v1/me", "", "127.4.0.1", headers={"authorization": f"Bearer {k}"}, method="GET"))

    def token(s):
        return status(ask(gw, "/v1/auth/token", f"grant_type=client_credentials&client_id={sa['id']}&client_secret={s}",
                          "127.4.0.2", headers={"content-type": "application/x-www-form-urlencoded"}))
    spoiled = key[:-8] + ("a" if key[-8] != "a" else "b") + key[-7:]
    answers = [me(spoiled) for _ in range(PER_ADDRESS + 10)]
    assert me(key) == 200 and limited(gw, "credential_address") == held(answers, PER_ADDRESS)
    answers = [token("x" * 43) for _ in range(14)]
    assert token(secret) == 200 and limited(gw, "token_account") == held(answers)


@pytest.mark.parametrize("path, body, good, rule", [
    ("forgot", lambda i: {"email": f"user{i}@example.test"}, 202, "forgot_address"),
    ("reset", lambda i: {"token": f"token{i}", "new_password": PASSWORD}, 400, "link_address"),
    ("verify", lambda i: {"token": f"token{i}"}, 400, "link_address"),
    ("mfa/verify", lambda i: {"mfa_token": f"token{i}", "code": "123456"}, 401, "mfa_address"),
])
def test_what_an_address_may_try(gateway, path, body, good, rule):
    gw = gateway(config={"auth.answer_floor": "0s"})
    answers = [status(ask(gw, f"/v1/auth/{path}", body(i), "127.5.0.1")) for i in range(PER_ADDRESS + 10)]
    assert limited(gw, rule) == held(answers, PER_ADDRESS, good)
    assert status(ask(gw, f"/v1/auth/{path}", body(0), "127.5.0.2")) == good


def test_sign_ups_of_an_address(gateway):
    gw = gateway(config={"auth.argon2.memory_kib": 512, "limits.attempts_per_address": 20})
    answers = [status(ask(gw, "/v1/auth/signup", {"email": f"user{i}@example.test", "password": PASSWORD}, "127.5.0.1"))
               for i in range(25)]
    assert limited(gw, "signup_address") == held(answers, 20, 201)
    # passwords are another matter
    assert status(signin(gw, "user1@example.test", PASSWORD, "127.5.0.1")) == 200


def test_the_current_password_is_not_guessed_with_a_stolen_session(gateway):
    gw = gateway()
    ann = user(gw)
    token = gw.signin(ann, PASSWORD)["access_token"]
    body = {"current_password": WRONG, "new_password": "nine yellow badgers"}

    def change():
        began = time.monotonic()
        r = gw.call("POST", "/v1/auth/password", token=token, json=body)
        return Status(r.status_code, began, r.headers.get("retry-after"))
    held([change() for _ in range(12)])


def test_at_most_five_letters_an_hour(gateway):
    gw = gateway(config={"auth.answer_floor": "0s"})
    ann = user(gw)

    def minutes_pass(n):
        db = sqlite3.connect(gw.directory / "gateway.db", timeout=60)
        with db:
            db.execute("UPDATE tries SET at = at - ?", (n * 60 * 10**6,))
        db.close()

    def sent():
        db = sqlite3.connect(gw.directory / "gateway.db", timeout=60)
        n = db.execute("SELECT count(*) FROM mail").fetchone()[0]
        db.close()
        return n + len(list((gw.directory / "mail").glob("[!.]*.eml")))
    until(lambda: sent() == 0)
    for minute in range(60):
        assert ask(gw, "/v1/auth/forgot", {"email": ann}, f"127.6.{minute}.1")[0] == 202
        minutes_pass(1)
    until(lambda: len(list((gw.directory / "mail").glob("[!.]*.eml"))) == 5)
    assert sent() == 5


def test_clients_behind_a_trusted_proxy_are_told_apart(gateway):
    gw = gateway(config={"trusted_proxies": ["127.0.0.1"]})
    ann = user(gw)

    def attempt(password, client, source="127.0.0.1"):
        return status(signin(gw, ann, password, source, headers={"x-forwarded-for": client}))
    held([attempt(WRONG, "203.0.113.7") for _ in range(12)])
    assert attempt(WRONG, "203.0.113.8") == 401
    # what a client says of itself is no address
    assert 429 in [attempt(WRONG, "203.0.113.9, 203.0.113.7") for _ in range(2)]
    assert attempt(WRONG, "203.0.113.10", source="127.7.0.1") == 401  # no proxy of ours
    t = gw.call("POST", "/v1/auth/signin", headers={"x-forwarded-for": "2001:db8::5"},
                json={"email": ann, "password": PASSWORD}).json()["access_token"]
    assert gw.call("GET", "/v1/auth/sessions", token=t).json()["items"][0]["ip"] == "2001:db8::5"


def test_limits_are_reloaded(gateway):
    gw = gateway(config={"limits.attempts_per_account": 3})
    held(wrong(gw, "nobody@example.test", 5), 3)
    gw.replicas[0].reload(limits__attempts_per_account=0)
    until(lambda: status(signin(gw, "nobody@example.test", WRONG)) == 401)


def test_a_crowd_of_right_passwords_is_no_attack(pair):
    ann = user(pair)
    answers = []

    def come(i):
        """503: there is no time for so many hashes. Who comes again comes in."""
        answers.append(status(signin(pair, ann, PASSWORD, f"127.8.0.{i % 4 + 1}", i % 2)))
        return answers[-1] != 503
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda i: until(lambda: come(i)), range(64)))
    assert set(answers) <= {200, 503} and answers.count(200) == 64


def test_refused_changes_do_not_fill_the_store(gateway):
    """Each is a record of the audit log, and anybody who may sign in can ask."""
    gw = gateway(config={"auth.signup": "open"})
    post = lambda p, b: gw.call("POST", p, json=b)  # noqa: E731
    tokens = []
    for name in ("ann", "bob"):
        assert post("/v1/auth/signup", {"email": f"{name}@x.test", "password": "seven purple otters"}).status_code == 201
        tokens.append(gw.signin(f"{name}@x.test", "seven purple otters")["access_token"])
    ask = lambda token: gw.call("DELETE", "/v1/auth/sessions/x", token=token)  # noqa: E731
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = collections.Counter(pool.map(lambda _: ask(tokens[0]).status_code, range(1100)))
    assert answers[429] > 50 and answers[429] + answers[400] + answers[404] == 1100
    # a delay may be over this very moment: then the next begins
    r = max((ask(tokens[0]) for _ in range(2)), key=lambda r: r.status_code)
    assert (r.status_code, r.json()["code"]) == (429, "rate_limited") and 1 <= int(r.headers["retry-after"]) <= 10
    assert ask(tokens[1]).status_code in (400, 404)
    assert gw.call("GET", "/v1/me", token=tokens[0]).status_code == 200
    assert 'rule="refused_account"' in gw.call("GET", "/metrics", listener="admin").text
