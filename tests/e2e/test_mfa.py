"""The second factor: enrolling, signing in with it, what must not get past it, and that whatever is
accepted once is accepted once on two replicas."""
import base64
import concurrent.futures
import hashlib
import hmac
import sqlite3
import struct
import threading
import time

import pytest

from harness.wait import until

EMAIL, PASSWORD = "bo@example.test", "plenty of salt in the sea"


def totp(secret, ahead=0):
    """The code of now, or of so many steps ahead. One of the past is made while it will be taken for a while, and so
    not at the end of a step."""
    if ahead < 0:
        until(lambda: time.time() % 30 < 25)
    return code_of(secret, int(time.time()) // 30 + ahead)


def code_of(secret, step):
    """RFC 6238, on its own: not by the code under test."""
    mac = hmac.new(base64.b32decode(secret), struct.pack(">Q", step), hashlib.sha1).digest()
    at = mac[19] & 15
    return f"{(struct.unpack('>I', mac[at:at + 4])[0] & 0x7fffffff) % 10**6:06d}"


def wrong(secret):
    good = {code_of(secret, int(time.time()) // 30 + a) for a in (-2, -1, 0, 1, 2)}
    return next(c for c in (f"{i:06d}" for i in range(10)) if c not in good)


class Person:
    """A user with an authenticator, confirmed by the code of the step before this one: the ones of
    this step and the next are left for tests."""

    def __init__(self, gw, email=EMAIL):
        self.gw, self.email = gw, email
        self.root = gw.signin()["access_token"]
        self.id = gw.admin("POST", "/admin/users", self.root, {"email": email, "password": PASSWORD})["id"]
        self.token = gw.signin(email, PASSWORD)["access_token"]
        self.enrolment = self.post("totp/enroll").json()
        self.secret = self.enrolment["secret"]
        r = self.post("totp/confirm", {"code": totp(self.secret, -1)})
        assert r.status_code == 200, r.text
        self.codes = r.json()["recovery_codes"]

    def post(self, path, body=None, token=None):
        return self.gw.call("POST", f"/v1/auth/mfa/{path}", token=token or self.token, json=body or {})

    def signin(self, replica=0):
        return self.gw.call("POST", "/v1/auth/signin", replica=replica, timeout=60,
                            json={"email": self.email, "password": PASSWORD})

    def challenge(self, replica=0):
        r = self.signin(replica)
        assert (r.status_code, r.json()["code"]) == (401, "mfa_required"), r.text
        assert sorted(r.json()["details"]["methods"]) == ["recovery_code", "totp"]
        return r.json()["details"]["mfa_token"]

    def verify(self, challenge, replica=0, **answer):
        return self.gw.call("POST", "/v1/auth/mfa/verify", replica=replica, timeout=60,
                            json={"mfa_token": challenge, **answer})


def amr(gw, tokens):
    return gw.call("GET", "/v1/me", token=tokens["access_token"]).json()["auth"]["amr"]


def is_invalid(r):
    return (r.status_code, r.json()["code"]) == (401, "mfa_invalid")


@pytest.fixture
def gw(gateway):
    return gateway(config={"auth.allow_basic_without_tls": True})


@pytest.fixture
def bo(gw):
    return Person(gw)


def test_sign_in_with_an_authenticator(gw, bo):
    assert bo.enrolment["otpauth_uri"].startswith("otpauth://totp/gateway.test:bo%40example.test?")
    assert f"secret={bo.secret}" in bo.enrolment["otpauth_uri"]
    assert bo.enrolment["qr_svg"].startswith("<svg ") and len(base64.b32decode(bo.secret)) == 20
    assert len(set(bo.codes)) == 10
    code, challenge = totp(bo.secret), bo.challenge()
    r = bo.verify(challenge, code=code)
    assert r.status_code == 200, r.text
    assert amr(gw, r.json()) == ["pwd", "otp"] and r.json()["user"]["id"] == bo.id
    assert is_invalid(bo.verify(challenge, code=totp(bo.secret, 1)))  # the challenge is used up
    assert is_invalid(bo.verify(bo.challenge(), code=code))  # and so is the code


def test_a_recovery_code_works_once(gw, bo):
    r = bo.verify(bo.challenge(), recovery_code=bo.codes[3].upper())
    assert r.status_code == 200 and amr(gw, r.json()) == ["pwd", "rcv"]
    assert is_invalid(bo.verify(bo.challenge(), recovery_code=bo.codes[3]))
    r = bo.post("recovery-codes", token=r.json()["access_token"])
    assert r.status_code == 200 and not set(r.json()["recovery_codes"]) & set(bo.codes)
    assert is_invalid(bo.verify(bo.challenge(), recovery_code=bo.codes[4]))  # replaced
    assert bo.verify(bo.challenge(), recovery_code=r.json()["recovery_codes"][0]).status_code == 200


def test_five_wrong_answers_end_a_challenge(bo):
    challenge = bo.challenge()
    for _ in range(5):
        assert is_invalid(bo.verify(challenge, code=wrong(bo.secret)))
    assert is_invalid(bo.verify(challenge, code=totp(bo.secret)))
    assert bo.verify(bo.challenge(), code=totp(bo.secret)).status_code == 200


def test_many_challenges_are_no_way_to_guess_more(bo):
    for _ in range(2):
        challenge = bo.challenge()
        for _ in range(5):
            assert is_invalid(bo.verify(challenge, code=wrong(bo.secret)))
    r = bo.verify(bo.challenge(), code=totp(bo.secret))
    assert (r.status_code, r.json()["code"]) == (429, "rate_limited") and int(r.headers["retry-after"]) > 0


@pytest.mark.parametrize("answer", [{}, {"code": "123456", "recovery_code": "aaaaa-aaaaa"}, {"code": ""}])
def test_an_answer_is_one_code(bo, answer):
    assert bo.verify(bo.challenge(), **answer).status_code == 400


def test_nothing_skips_it(gw, bo):
    basic = {"authorization": "Basic " + base64.b64encode(f"{EMAIL}:{PASSWORD}".encode()).decode()}
    wrong_password = {"authorization": "Basic " + base64.b64encode(f"{EMAIL}:wrong".encode()).decode()}
    answers = [gw.call("GET", "/v1/me", headers=h) for h in (basic, wrong_password)]
    assert [r.status_code for r in answers] == [401, 401]
    assert answers[0].json()["code"] == answers[1].json()["code"]
    # a changed password ends what waits for the second factor, and asks for it again
    challenge = bo.challenge()
    gw.admin("PUT", f"/admin/users/{bo.id}/password", bo.root, {"password": "another sea, more salt"})
    assert is_invalid(bo.verify(challenge, code=totp(bo.secret)))
    r = gw.call("POST", "/v1/auth/signin", json={"email": EMAIL, "password": "another sea, more salt"})
    assert r.json()["code"] == "mfa_required"


def test_a_reset_by_mail_skips_nothing(gw, bo):
    """Nor does it take the second factor away, nor sign anybody in."""
    challenge = bo.challenge()
    assert gw.call("POST", "/v1/auth/forgot", json={"email": EMAIL}).status_code == 202
    link = until(lambda: [t for t in (p.read_text() for p in (gw.directory / "mail").glob("[!.]*.eml"))
                          if "token=" in t], what="the letter")[0]
    token = link.replace("=\n", "").split("token=")[1].split()[0]
    r = gw.call("POST", "/v1/auth/reset", json={"token": token.removeprefix("3D"), "new_password": "another sea, more salt"})
    assert (r.status_code, r.content) == (204, b""), r.text
    assert is_invalid(bo.verify(challenge, code=totp(bo.secret)))  # what waited is void
    r = gw.call("POST", "/v1/auth/signin", json={"email": EMAIL, "password": "another sea, more salt"})
    assert (r.status_code, r.json()["code"]) == (401, "mfa_required")
    assert bo.verify(r.json()["details"]["mfa_token"], code=totp(bo.secret)).status_code == 200


def test_a_code_is_good_for_one_thing_only(gw, bo):
    """What signed in does not remove; what confirmed does not sign in; no code of before comes back."""
    code = totp(bo.secret, 1)
    tokens = bo.verify(bo.challenge(), code=code).json()
    for used in (code, totp(bo.secret), totp(bo.secret, -1)):
        r = gw.call("DELETE", "/v1/auth/mfa/totp", token=tokens["access_token"], json={"code": used})
        assert is_invalid(r)
    assert is_invalid(bo.verify(bo.challenge(), code=code))


def test_steps_around_now(gw, bo):
    for ahead in (-3, 3):
        assert is_invalid(bo.verify(bo.challenge(), code=totp(bo.secret, ahead)))
    assert bo.verify(bo.challenge(), code=totp(bo.secret, 1)).status_code == 200


def test_without_an_authenticator_there_is_nothing_to_change(gw):
    root = gw.signin()["access_token"]
    post = lambda path, body: gw.call("POST", f"/v1/auth/mfa/{path}", token=root, json=body)  # noqa: E731
    assert post("recovery-codes", {}).status_code == 409
    assert post("totp/confirm", {"code": "123456"}).status_code == 409
    assert gw.call("DELETE", "/v1/auth/mfa/totp", token=root, json={"code": "123456"}).status_code == 404


def test_nothing_in_the_store_opens_an_account(gw, bo):
    """Neither secret nor recovery code nor challenge is there in any spelling."""
    challenge = bo.challenge()
    gw.stop()
    raw = base64.b32decode(bo.secret)
    store = b"".join(p.read_bytes() for p in gw.directory.glob("gateway.db*"))
    assert EMAIL.encode() in store
    for canary in (raw, raw.hex().encode(), bo.secret.encode(), challenge.encode(), challenge[4:].encode(),
                   *(c.encode() for c in bo.codes), *(c.replace("-", "").encode() for c in bo.codes)):
        assert canary not in store


def test_a_disabled_user_cannot_finish(gw, bo):
    challenge = bo.challenge()
    gw.admin("PATCH", f"/admin/users/{bo.id}", bo.root, {"disabled": True})
    assert is_invalid(bo.verify(challenge, code=totp(bo.secret)))
    assert (bo.signin().status_code, bo.signin().json()["code"]) == (401, "invalid_credentials")


@pytest.mark.parametrize("how", ["sessions", "disable", "everywhere"])
def test_what_ends_all_sessions_ends_what_waits_for_a_code(gw, bo, how):
    challenge = bo.challenge()
    if how == "sessions":
        gw.admin("DELETE", f"/admin/users/{bo.id}/sessions", bo.root)
    elif how == "everywhere":
        assert gw.call("POST", "/v1/auth/signout", token=bo.token, json={"everywhere": True}).status_code == 204
    else:
        for disabled in (True, False):
            gw.admin("PATCH", f"/admin/users/{bo.id}", bo.root, {"disabled": disabled})
    assert is_invalid(bo.verify(challenge, code=totp(bo.secret)))
    assert bo.verify(bo.challenge(), code=totp(bo.secret)).status_code == 200


def test_an_unconfirmed_authenticator_asks_for_nothing(gw):
    root = gw.signin()["access_token"]
    secret = gw.call("POST", "/v1/auth/mfa/totp/enroll", token=root, json={}).json()["secret"]
    confirm = lambda code: gw.call("POST", "/v1/auth/mfa/totp/confirm", token=root, json={"code": code})
    assert is_invalid(confirm(wrong(secret)))
    gw.signin()
    assert confirm(totp(secret)).status_code == 200
    assert confirm(totp(secret, 1)).status_code == 409


def test_confirming_ends_the_sessions_that_a_password_alone_has_opened(gw):
    """Or whoever knows the password, and was quick, would make recovery codes of its own."""
    root = gw.signin()["access_token"]
    thief = gw.signin()["access_token"]
    secret = gw.call("POST", "/v1/auth/mfa/totp/enroll", token=root, json={}).json()["secret"]
    assert gw.call("GET", "/v1/me", token=thief).status_code == 200
    assert gw.call("POST", "/v1/auth/mfa/totp/confirm", token=root, json={"code": totp(secret)}).status_code == 200
    assert gw.call("POST", "/v1/auth/mfa/recovery-codes", token=thief, json={}).status_code == 401
    assert gw.call("GET", "/v1/me", token=root).status_code == 200


def test_removing_it_takes_a_code(gw, bo):
    remove = lambda code: gw.call("DELETE", "/v1/auth/mfa/totp", token=bo.token, json={"code": code})
    assert is_invalid(remove(wrong(bo.secret)))
    assert remove(totp(bo.secret)).status_code == 204
    assert bo.signin().status_code == 200
    assert remove(totp(bo.secret, 1)).status_code == 404


def change(gw, sql):
    """Straight in the store: what only time would do."""
    with sqlite3.connect(gw.store_url.removeprefix("sqlite:"), timeout=60) as db:
        assert db.execute(sql).rowcount > 0
    db.close()


def test_a_challenge_expires(gw, bo):
    challenge = bo.challenge()
    change(gw, "UPDATE mfa_challenge SET expires_at = expires_at - 300000000")
    assert is_invalid(bo.verify(challenge, code=totp(bo.secret)))
    late = bo.challenge()
    change(gw, "UPDATE mfa_challenge SET expires_at = expires_at - 280000000")
    assert bo.verify(late, code=totp(bo.secret)).status_code == 200


def test_changes_need_a_recent_sign_in(gw, bo):
    tokens = bo.verify(bo.challenge(), code=totp(bo.secret)).json()
    change(gw, "UPDATE session SET auth_time = auth_time - 301000000")
    r = gw.call("POST", "/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    old = r.json()["access_token"]
    answers = [bo.post("totp/enroll", token=old), bo.post("recovery-codes", token=old),
               gw.call("DELETE", "/v1/auth/mfa/totp", token=old, json={"code": totp(bo.secret, 1)})]
    assert [(r.status_code, r.json()["code"]) for r in answers] == [(403, "recent_signin_required")] * 3
    assert bo.post("totp/enroll", token=tokens["access_token"]).status_code == 200


def test_an_administrator_resets_it(gw, bo):
    path = f"/admin/users/{bo.id}/mfa"
    assert gw.call("DELETE", path, token=bo.token, listener="admin").status_code == 403
    me = lambda: gw.call("GET", "/v1/me", token=bo.token).status_code
    assert me() == 200
    gw.admin("DELETE", path, bo.root)
    assert me() == 401  # a lost device may have a session on it
    assert bo.signin().status_code == 200
    told = until(lambda: list((gw.directory / "mail").glob("[!.]*.eml")), what="the letter")
    assert [f"To: {EMAIL}" in t.read_text() and "second factor was removed" in t.read_text() for t in told] == [True]


def test_no_secret_is_in_audit_log_or_output(gw, bo):
    told = gw.call("GET", "/admin/audit", token=bo.root, listener="admin").text + gw.replicas[0].process.output()
    assert "auth.mfa.totp.confirm" in told
    assert not [s for s in (bo.secret, *bo.codes) if s in told]


def test_of_many_answers_at_once_one_wins(gateway, rqlite3):
    gw = gateway(store="rqlite", rqlite=rqlite3, replicas=2)
    bo = Person(gw)

    def together(challenges, answer):
        barrier = threading.Barrier(len(challenges))

        def one(i):
            barrier.wait()
            return bo.verify(challenges[i], replica=i % 2, **answer)
        with concurrent.futures.ThreadPoolExecutor(len(challenges)) as pool:
            answers = list(pool.map(one, range(len(challenges))))
        assert sorted(r.status_code for r in answers) == [200] + [401] * (len(challenges) - 1), \
            [r.text for r in answers]
    for code in bo.codes[:5]:
        together([bo.challenge(i % 2) for i in range(8)], {"recovery_code": code})
    together([bo.challenge(i % 2) for i in range(8)], {"code": totp(bo.secret, 1)})
