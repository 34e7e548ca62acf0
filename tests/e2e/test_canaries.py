"""Every secret there is goes through every flow, known to the test; then it is looked for, as it is and in
the encodings that it might have been written in, where it must not be: logs of all levels, metrics,
errors, lists and audit records, the store's files while it runs and after, command lines, environments,
core files."""
import base64
import os
import re
import resource
import signal
import subprocess
import urllib.parse

import pytest

from harness.gateway import master_key, wait_for
from harness.openid import CLIENT_SECRET, Browser, OpenId, settings
from harness.process import Process
from harness.wait import until
from test_mail import smtp  # noqa: F401  (a fixture)
from test_mail_flows import token as token_of_mail
from test_mfa import totp, wrong

SMTP_PASSWORD = "canary of the mail server"
ORIGIN = "http://gateway.test"


def unpadded(encode, raw):
    return encode(raw).rstrip(b"=")


class Canaries:
    """Names and all forms of the secrets."""

    def __init__(self):
        self.forms = {}
        self.count = 0

    def add(self, name, text, *raw):
        """A secret, and bytes that are as good as it. Returns it."""
        for plain in (text.encode(), *raw):
            assert len(plain) >= 8, f"{name} is too short to be looked for"
            for form in (plain, plain.hex().encode(), plain.hex().upper().encode(),
                         unpadded(base64.b64encode, plain), unpadded(base64.urlsafe_b64encode, plain)):
                self.forms[form] = name
        return text

    def password(self, of):
        self.count += 1
        return self.add(f"password {of}", f"canary {self.count} sings {of} a song")

    def decoded(self, text):
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    def tokens(self, name, tokens):
        """A token set."""
        access = tokens["access_token"]
        self.add(f"access token {name}", access, access.rsplit(".", 1)[1].encode())
        if "refresh_token" in tokens:
            # session id and counter are no secret, the MAC behind them is
            text = tokens["refresh_token"]
            self.add(f"refresh token {name}", text, self.decoded(text.removeprefix("grt_"))[24:])
        return tokens

    def opaque(self, name, text):
        return self.add(name, text, self.decoded(text))

    def find(self, place, data):
        found = {name for form, name in self.forms.items() if form in data}
        assert not found, f"in {place}: {sorted(found)}"


class Bird:
    """A person whose secrets are all canaries. What must not tell them is kept in `told`."""

    def __init__(self, gw, canaries, told):
        self.gw, self.canaries, self.told = gw, canaries, told

    def call(self, method, path, expect, **kw):
        r = self.gw.call(method, path, **kw)
        assert r.status_code in (expect if isinstance(expect, tuple) else (expect,)), f"{path}: {r.status_code} {r.text}"
        secret = r.status_code < 400 or r.json().get("code") == "mfa_required"
        if not secret:
            self.told.append((f"the error of {path}", r.content + repr(r.headers).encode()))
        return r

    def post(self, path, expect, body=None, **kw):
        return self.call("POST", f"/v1/auth/{path}", expect, json=body if body is not None else {}, **kw)

    def signin(self, email, password, expect=200):
        r = self.post("signin", expect, {"email": email, "password": password})
        return self.canaries.tokens(f"of {email}", r.json()) if expect == 200 else r

    def refresh(self, tokens, expect=200):
        r = self.post("refresh", expect, {"refresh_token": tokens["refresh_token"]})
        return self.canaries.tokens("refreshed", r.json()) if expect == 200 else r


def passwords_and_sessions(bird, server):
    """Sign-up, verify, sign-in, refresh, reuse, change, forgot, reset, sign-out."""
    c, email = bird.canaries, "ann@example.test"
    password = c.password("of sign-up")

    def mailed(n):
        mail = wait_for(bird.gw, lambda: [m for m in server.mails() if m.recipients == [email]][n:], what="the mail")[0]
        return c.opaque("link in mail", token_of_mail(mail.message))
    bird.post("signup", 202, {"email": email, "password": password})
    bird.signin(email, password, 401)
    link = mailed(0)
    bird.post("verify", 204, {"token": link})
    bird.post("verify", 400, {"token": link})
    bird.signin(email, c.password("that is wrong"), 401)
    bird.signin(c.password("in the wrong field"), "wrong", 401)
    tokens = bird.signin(email, password)
    for body in ('{"password":"%s",}', '{"email":"a@b.c","password":["%s"]}', '["%s"]', '{"email":"a","password":"%s'):
        bird.call("POST", "/v1/auth/signin", 400, data=body % c.password("in a broken body"),
                  headers={"content-type": "application/json"})
    bird.post("signin", (400, 401), {"email": email, "password": c.password("too long") * 200})
    bird.post("password", 400, {"current_password": password, "new_password": c.add("weak password", f"it is {email} again")},
              token=tokens["access_token"])
    new = c.password("changed")
    bird.post("password", 401, {"current_password": c.password("not the current"), "new_password": new},
              token=tokens["access_token"])
    bird.post("password", 204, {"current_password": password, "new_password": new}, token=tokens["access_token"])
    wait_for(bird.gw, lambda: len(server.mails()) >= 2, what="the notice")
    bird.post("forgot", 202, {"email": email})
    link = mailed(2)
    bird.post("reset", 204, {"token": link, "new_password": c.password("reset")})
    bird.post("reset", 400, {"token": link, "new_password": c.password("reset twice")})
    bird.refresh(tokens, 401)
    first = bird.signin(email, f"canary {c.count - 1} sings reset a song")
    second = bird.refresh(first)
    bird.refresh(first, 401)
    bird.call("GET", "/v1/me", 401, token=second["access_token"])
    third = bird.signin(email, f"canary {c.count - 1} sings reset a song")
    for query in ("access_token", "refresh_token", "password"):
        secret = c.password("in a query")
        bird.call("GET", f"/v1/auth/sessions?{query}={urllib.parse.quote(secret)}", 400, token=third["access_token"])
        c.add("query", urllib.parse.quote(secret))
    bird.told.append(("sessions", bird.call("GET", "/v1/auth/sessions", 200, token=third["access_token"]).content))
    bird.post("signout", 204, {}, token=third["access_token"])
    return email


def headers_that_are_wrong(bird, tokens):
    c = bird.canaries
    basic = base64.b64encode(f"ann@example.test:{c.password('in Basic')}".encode()).decode()
    for value in (f"Basic {c.add('Basic', basic)}", f"Bearer {c.add('no token', 'canary-that-is-no-token')}",
                  f"Bearer {tokens['access_token'][:-4]}AAAA", f"{c.add('scheme', 'Canaryscheme')} x",
                  f"Bearer gwk_0190a0000000_{c.add('no API key', 'canarycanarycanary')}"):
        bird.call("GET", "/v1/me", 401, headers={"authorization": value})
        out = subprocess.run(["curl", "-s", "--http2-prior-knowledge", "-H", f"authorization: {value}",
                              f"http://{bird.gw.replicas[0].grpc}/v1/me"], capture_output=True, timeout=60)
        assert b"unauthenticated" in out.stdout, out
        bird.told.append(("an error over HTTP/2", out.stdout))
    bird.call("GET", "/v1/nowhere", 404, headers={"cookie": f"session={c.add('cookie', 'canary-in-a-cookie')}"})


def second_factor(bird, email, password):
    c, tokens = bird.canaries, bird.signin(email, password)
    access = tokens["access_token"]
    secret = bird.post("mfa/totp/enroll", 200, token=access).json()["secret"]
    c.add("TOTP secret", secret, base64.b32decode(secret))
    bird.post("mfa/totp/confirm", 401, {"code": wrong(secret)}, token=access)
    codes = bird.post("mfa/totp/confirm", 200, {"code": totp(secret, -1)}, token=access).json()["recovery_codes"]
    codes += bird.post("mfa/recovery-codes", 200, token=access).json()["recovery_codes"]
    for code in codes:
        c.add("recovery code", code, code.replace("-", "").encode(), code.upper().encode())

    def challenge():
        return c.opaque("challenge", bird.signin(email, password, 401).json()["details"]["mfa_token"])
    bird.post("mfa/verify", 401, {"mfa_token": challenge(), "code": wrong(secret)})
    bird.post("mfa/verify", 401, {"mfa_token": challenge(), "recovery_code": codes[0]})  # replaced
    c.tokens("by TOTP", bird.post("mfa/verify", 200, {"mfa_token": challenge(), "code": totp(secret)}).json())
    r = bird.post("mfa/verify", 200, {"mfa_token": challenge(), "recovery_code": codes[-1]})
    c.tokens("by recovery code", r.json())
    bird.call("DELETE", "/v1/auth/mfa/totp", 204, json={"code": totp(secret, 1)}, token=r.json()["access_token"])


def machines(bird, root):
    """Secrets, API keys, client_credentials, and Basic; made with an Idempotency-Key, so answers are kept."""
    c, gw = bird.canaries, bird.gw
    admin = dict(token=root["access_token"], listener="admin")
    account = gw.admin("POST", "/admin/service-accounts", root["access_token"], {"name": "robot"})["id"]
    path = f"/admin/service-accounts/{account}/credentials"
    made = {}
    for kind in ("secret", "api_key"):
        body = dict(json={"kind": kind}, headers={"idempotency-key": f"once-{kind}"})
        first, again = (bird.call("POST", path, 201, **body, **admin).json() for _ in range(2))
        assert first == again
        made[kind] = first["secret"]
        part = first["secret"].split("_", 2)[2] if kind == "api_key" else first["secret"]
        c.add(f"credential {kind}", first["secret"], part.encode(), c.decoded(part))
    bird.call("GET", "/v1/me", 200, headers={"authorization": f"Bearer {made['api_key']}"})
    bird.call("GET", "/v1/me", 401, headers={"authorization": f"Bearer {made['api_key'][:-2]}xx"})
    bird.call("GET", "/v1/me", 200, auth=(account, made["secret"]))
    bird.call("GET", "/v1/me", 401, auth=(account, made["secret"][:-2] + "xx"))
    grant = {"grant_type": "client_credentials"}
    r = bird.call("POST", "/v1/auth/token", 200, data=grant, auth=(account, made["secret"]))
    c.tokens("of a machine", r.json())
    bird.call("POST", "/v1/auth/token", 401, data={**grant, "client_id": account,
                                                 "client_secret": c.password("of a machine")})
    bird.told.append(("credentials", bird.call("GET", path, 200, **admin).content))


def administration(bird, root, email):
    gw, c, access = bird.gw, bird.canaries, root["access_token"]
    user = gw.admin("POST", "/admin/users", access, {"email": "cy@example.test", "password": c.password("of an admin")})
    gw.admin("PUT", f"/admin/users/{user['id']}/password", access, {"password": c.password("set by an admin")})
    bird.call("PUT", f"/admin/users/{user['id']}/password", 400, token=access, listener="admin",
              json={"password": c.add("weak password", "password" * 2)})
    gw.admin("POST", "/admin/keys/rotate", access)
    c.add("master key", *gw.master)
    password_file = gw.write("import-password", f"canary {c.count} sings set by an admin a song")
    gw.gwctl("--server", gw.replicas[0].admin, "login", "--email", "cy@example.test", "--password-file", password_file)
    out = gw.ctl("whoami")
    bird.told.append(("gwctl", (out.stdout + out.stderr).encode()))
    out = gw.ctl("user", "list", check=False)
    bird.told.append(("gwctl refused", (out.stdout + out.stderr).encode()))


def openid(bird):
    b = Browser({ORIGIN: bird.gw.replicas[0].http})
    r = b.request("POST", f"{ORIGIN}/v1/auth/oidc/google/start", json={})
    assert r.status_code == 200, r.text
    for value in b.cookies.values():
        bird.canaries.add("state cookie", value)
    callback = b.sign_in(r.json()["authorization_url"], "dee")
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(callback).query))
    bird.canaries.add("authorization code", query["code"])
    bird.canaries.add("state", query["state"])
    r = b.request("GET", callback)
    assert r.status_code == 200, r.text
    bird.canaries.tokens("by OpenID", r.json())
    r = b.request("GET", callback)
    assert r.status_code == 400
    bird.told.append(("a callback used twice", r.content))


def pages(gw, path, token):
    at, out = "", b""
    while at is not None:
        r = gw.call("GET", f"{path}?page_size=500{at and '&page_token=' + at}", token=token, listener="admin")
        assert r.status_code == 200, r.text
        out += r.content
        at = r.json()["next_page_token"]
    return out


def processes(gw):
    for r in gw.replicas:
        for file in ("cmdline", "environ"):
            with open(f"/proc/{r.process.pid}/{file}", "rb") as f:
                yield f"{file} of gatewayd", f.read()


def files(*directories):
    """What the store has written: SQLite's file and log, rqlite's database and Raft log."""
    for directory in directories:
        for path in directory.rglob("*"):
            if path.is_file() and re.search(r"\.db(-wal|-shm)?$|sqlite|raft|snapshots|\.log$", str(path)):
                yield str(path), path.read_bytes()


@pytest.mark.parametrize("store", ["sqlite", "rqlite"])
def test_no_secret_is_anywhere(gateway, smtp, authority, nats, tmp_path, store, request):  # noqa: F811
    server = smtp(mode="starttls", certificate=authority.issue("mail.localhost", "DNS:mail.localhost"),
                  credentials=("gate", SMTP_PASSWORD))
    provider = OpenId(tmp_path, {"dee": {"email": "dee@example.test", "email_verified": True}}).start()
    config, _ = settings(provider.issuer)
    key = master_key()
    for name, text in (("mail", SMTP_PASSWORD), ("oidc", CLIENT_SECRET), ("key", key)):
        (tmp_path / f"secret-{name}").write_text(text)
    gw = gateway(store=store, nats=nats, config={
        **config, "log.level": "debug", "auth.signup": "verify", "auth.allow_basic_without_tls": True,
        "mail.url": f"smtp://mail.localhost:{server.port}", "mail.ca": str(authority.cert), "mail.user": "gate"},
        env={"GATEWAYD_MAIL_PASSWORD_FILE": str(tmp_path / "secret-mail"),
             "GATEWAYD_OIDC_GOOGLE_CLIENT_SECRET_FILE": str(tmp_path / "secret-oidc"),
             "GATEWAYD_AUTH_MASTER_KEY_FILE": str(tmp_path / "secret-key")})
    gw.master = key, base64.b64decode(key)
    c, told = Canaries(), []
    c.add("SMTP password", SMTP_PASSWORD)
    c.add("client secret", CLIENT_SECRET)
    bird = Bird(gw, c, told)
    root = c.tokens("of root", gw.signin())
    c.add("password of root", "correct horse battery staple")
    email = passwords_and_sessions(bird, server)
    second_factor(bird, email, f"canary {c.count - 4} sings reset a song")
    headers_that_are_wrong(bird, root)
    machines(bird, root)
    administration(bird, root, email)
    openid(bird)
    told += [(path, pages(gw, path, root["access_token"])) for path in
             ("/admin/audit", "/admin/users", "/admin/service-accounts")]
    told.append(("keys", gw.call("GET", "/admin/keys", token=root["access_token"], listener="admin").content))
    told.append(("metrics", gw.call("GET", "/metrics", listener="admin").content))
    assert len(told) > 30 and len(c.forms) > 500

    rqlite = [request.getfixturevalue("rqlite3").nodes] if store == "rqlite" else []
    directories = [gw.directory] + [tmp_path / "rqlite"] * len(rqlite)
    running = list(files(*directories))
    assert running and any(b"ann@example.test" in data for _, data in running)  # it is the right place
    for place, data in told + list(processes(gw)) + running:
        c.find(place, data)
    gw.stop()
    output = gw.replicas[0].process.output()
    assert '"msg":"access"' in output and '"code":"refresh_token_reused"' in output  # it is the right log
    for place, data in [("the log", output.encode())] + list(files(*directories)):
        c.find(place, data)


def dies_with_a_core(process):
    """Of SIGABRT; whether the kernel wrote its memory to a file, or would have."""
    process.signal(signal.SIGABRT)
    how = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    process.wait()
    assert how.si_status == signal.SIGABRT
    return how.si_code == os.CLD_DUMPED


def test_a_crash_leaves_no_core(gateway, tmp_path):
    freely = ["prlimit", f"--core={resource.getrlimit(resource.RLIMIT_CORE)[1]}"]  # as far as it goes here
    other = Process("sleep", [*freely, "sleep", "60"], tmp_path, cwd=tmp_path).start()
    until(lambda: b"sleep" in open(f"/proc/{other.pid}/comm", "rb").read())
    gw = gateway(start=False)
    gw.prepare()
    process = gw.replicas[0].process
    process.argv = [*freely, *process.argv]
    gw.replicas[0].start()
    with open(f"/proc/{process.pid}/limits") as f:
        assert re.search(r"^Max core file size +0 +0 ", f.read(), re.M)
    if os.geteuid() != 0:  # else root's it is in any case
        assert os.stat(f"/proc/{process.pid}/environ").st_uid == 0 != os.stat(f"/proc/{other.pid}/environ").st_uid
    assert not dies_with_a_core(process)
    if not dies_with_a_core(other):
        print("no program leaves a core file here: that gatewayd does not shows nothing")
