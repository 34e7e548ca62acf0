"""What may happen once happens once, whoever asks where: rounds of contenders on two gateways before
three rqlite nodes, winners counted, and after each revocation that was acknowledged nothing that it
covers is good for anything. GW_RACE_ROUNDS rounds of each; `make races` runs 1,000 and shows the
outcomes."""
import base64
import collections
import concurrent.futures
import email
import os
import random
import time

import pytest

from harness.caller import Caller
from harness.wait import until
from test_mfa import totp

ROUNDS = int(os.environ.get("GW_RACE_ROUNDS", 100))
LANES = 8        # that race at the same time, each with a user and connections of its own
PASSWORD = "plenty of salt in the sea"
CHEAP = {"auth.argon2.memory_kib": 8, "auth.argon2.iterations": 1, "access_log": False,
         "limits.attempts_per_address": 0, "limits.attempts_per_account": 0}
LAG_MAX = 20.0   # for one of them, beside everything else that a machine has to do
LAG = 1.0 if os.environ.get("GW_VARIANT", "release") == "release" else 10.0  # for most of them


class Lane(Caller):
    """Contenders leave it within microseconds of each other."""

    def __init__(self, gw, root, number):
        super().__init__(gw)
        self.root, self.number = root, number
        self.dice = random.Random(number)
        self.lags = []

    def race(self, *requests):
        """Their answers, in the order given; they leave in a random one."""
        order = list(range(len(requests)))
        self.dice.shuffle(order)
        begun = {i: self.begin(*requests[i][0], **requests[i][1]) for i in order}
        return [self.end(begun[i])[:2] for i in range(len(requests))]

    def user(self, address):
        return self.must(0, "POST", "/admin/users", {"email": address, "password": PASSWORD}, self.root)["id"]

    def is_over(self, tokens, at):
        """Nothing of a revoked session works: refresh tokens nowhere, the access token at once on the
        gateway that said so, and soon on the other."""
        start = time.monotonic()
        assert self.me(at, tokens) == 401, "an access token outlived its revocation"
        while self.me(1 - at, tokens) != 401:
            assert time.monotonic() - start < LAG_MAX, "the other gateway goes on taking the access token"
        self.lags.append(time.monotonic() - start)
        for replica in (0, 1):
            assert self.call(replica, *refresh(tokens))[0] == 401, "a refresh token outlived its revocation"


def request(*args, **kw):
    return args, kw


def refresh(tokens):
    return "POST", "/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]}


def on_both(*args, times=1, **kw):
    return [request(replica, *args, **kw) for _ in range(times) for replica in (0, 1)]


def one_wins(answers, won, lost):
    """The index of the one winner; every other lost in one of the ways allowed."""
    outcomes = [(status, answer.get("code")) for status, answer in answers]
    winners = [i for i, (status, _) in enumerate(outcomes) if status == won]
    assert len(winners) == 1, outcomes
    assert all(o in lost for i, o in enumerate(outcomes) if i != winners[0]), outcomes
    return winners[0]


@pytest.fixture
def run(gateway, rqlite3, nats):
    """run(race, **config): `race` is a generator function of a lane; each next() is a round and gives
    the name of its outcome."""
    def run(name, contest, **config):
        gw = gateway(store="rqlite", rqlite=rqlite3, replicas=2, nats=nats, config={**CHEAP, **config})
        root = gw.signin()["access_token"]
        lanes = [Lane(gw, root, n) for n in range(LANES)]

        def go(lane):
            rounds = contest(lane)
            return [next(rounds) for _ in range(-(-(ROUNDS - lane.number) // LANES))]
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
            outcomes = collections.Counter(o for done in pool.map(go, lanes) for o in done)
        assert sum(outcomes.values()) == ROUNDS
        lags = sorted(1000 * lag for lane in lanes for lag in lane.lags)
        assert not lags or lags[len(lags) // 2] < 1000 * LAG, lags
        late = f"; other gateway: p50 {lags[len(lags) // 2]:.1f} p99 {lags[len(lags) * 99 // 100]:.1f} " \
               f"max {lags[-1]:.1f} ms" if lags else ""
        print(f"\n{name}: {ROUNDS} rounds in {time.monotonic() - start:.1f} s: "
              + ", ".join(f"{n} {o}" for o, n in outcomes.most_common()) + late, end="")
        return outcomes
    return run


def test_refresh_and_refresh(run):
    def contest(lane):
        address = f"lane{lane.number}@example.test"
        lane.user(address)
        while True:
            tokens = lane.signin(address, PASSWORD)
            answers = lane.race(*on_both(*refresh(tokens), times=2))
            winner = one_wins(answers, 200, {(401, "refresh_token_reused"), (401, "refresh_token_invalid")})
            told = {a["code"] for _, a in answers if "code" in a}
            assert "refresh_token_reused" in told  # the replay was seen, and ended the session
            for replica in (0, 1):
                assert lane.call(replica, *refresh(answers[winner][1]))[0] == 401
            yield f"won on gateway {winner % 2 + 1}"
    run("refresh x refresh", contest)


def test_refresh_and_refresh_with_grace(run):
    def contest(lane):
        address = f"lane{lane.number}@example.test"
        lane.user(address)
        tokens = lane.signin(address, PASSWORD)
        while True:
            answers = lane.race(*on_both(*refresh(tokens), times=2))
            assert {status for status, _ in answers} == {200}, answers
            successors = {a["refresh_token"] for _, a in answers}
            assert len(successors) == 1 and tokens["refresh_token"] not in successors
            tokens = answers[0][1]
            yield "one successor"
    run("refresh x refresh, grace 60s", contest, **{"auth.refresh_grace": "60s"})


def test_refresh_and_revoke(run):
    """Two that end the session, one of which does, and a refresh somewhere before, between or after."""
    def contest(lane):
        address = f"lane{lane.number}@example.test"
        lane.user(address)
        keeper = lane.signin(address, PASSWORD)  # that ends the others
        while True:
            tokens = lane.signin(address, PASSWORD)
            assert lane.me(0, tokens) == lane.me(1, tokens) == 200
            path = f"/v1/auth/sessions/{tokens['session_id']}"
            ends = [lane.begin(i, "DELETE", path, None, keeper["access_token"]) for i in (0, 1)]
            lane.let_pass(ends[0], lane.dice.uniform(0, 0.01))
            status, answer = lane.call(lane.dice.randrange(2), *refresh(tokens))
            winner = one_wins([lane.end(e)[:2] for e in ends], 204, {(404, "not_found")})
            lane.is_over(tokens, winner)
            assert status == 200 or (status, answer["code"]) == (401, "refresh_token_invalid"), answer
            if status == 200:
                lane.is_over(answer, winner)
            yield "refreshed, then ended" if status == 200 else "ended first"
    run("refresh x revoke", contest, **{"auth.access_ttl": "1h"})


def token_in_mail(gw, address):
    """Of the letter to the address, which is removed with all others that are done with."""
    def look():
        for f in (gw.directory / "mail").glob("[!.]*.eml"):
            text = f.read_text()
            if f"To: {address}" in text and "token=" in text:
                f.unlink()
                return email.message_from_string(text).get_payload(decode=True).decode().split("token=")[1].split()[0]
        return None
    return until(look, what=f"the letter to {address}")


def test_reset_and_reset(run):
    def contest(lane):
        for n in range(ROUNDS):
            address = f"lane{lane.number}-{n}@example.test"
            lane.user(address)
            old = lane.signin(address, PASSWORD)
            assert lane.call(n % 2, "POST", "/v1/auth/forgot", {"email": address})[0] == 202
            token = token_in_mail(lane.gw, address)
            wanted = [f"salt of contender {i} in the sea" for i in range(4)]
            answers = lane.race(*[request(i % 2, "POST", "/v1/auth/reset", {"token": token, "new_password": p})
                                  for i, p in enumerate(wanted)])
            winner = one_wins(answers, 204, {(400, "token_invalid")})
            lane.is_over(old, winner % 2)
            for i, password in enumerate([PASSWORD, *wanted]):
                status, _ = lane.call(i % 2, "POST", "/v1/auth/signin", {"email": address, "password": password})
                assert status == (200 if i == winner + 1 else 401)
            yield f"won on gateway {winner % 2 + 1}"
    run("reset x reset", contest)


class Factors:
    """A user with an authenticator and recovery codes."""

    def __init__(self, lane):
        self.lane, self.address = lane, f"lane{lane.number}@example.test"
        self.id = lane.user(self.address)
        tokens = lane.signin(self.address, PASSWORD)
        self.token = tokens["access_token"]
        self.secret = self.post("totp/enroll", {})["secret"]
        self.codes = self.post("totp/confirm", {"code": totp(self.secret, -1)})["recovery_codes"]

    def post(self, path, body):
        return self.lane.must(0, "POST", f"/v1/auth/mfa/{path}", body, self.token)

    def challenges(self):
        """One of either gateway."""
        answers = self.lane.race(*on_both("POST", "/v1/auth/signin", {"email": self.address, "password": PASSWORD}))
        assert {(s, a["code"]) for s, a in answers} == {(401, "mfa_required")}, answers
        return [a["details"]["mfa_token"] for _, a in answers]

    def answer_all(self, answer):
        """The same answer to each challenge on each gateway: one of the four wins."""
        answers = self.lane.race(*[r for c in self.challenges() for r in
                                   on_both("POST", "/v1/auth/mfa/verify", {"mfa_token": c, **answer})])
        winner = one_wins(answers, 200, {(401, "mfa_invalid")})
        assert self.lane.me(winner % 2, answers[winner][1]) == 200
        return f"won on gateway {winner % 2 + 1}"

    def forget_steps(self, rqlite):
        """Straight in the store, what only time would do: the code of now is accepted once more."""
        rqlite.execute([f"UPDATE mfa_totp SET last_step = 0 WHERE principal = X'{self.id.replace('-', '')}'"])


def test_totp_and_totp(run, rqlite3):
    def contest(lane):
        user = Factors(lane)
        while True:
            user.forget_steps(rqlite3)
            yield user.answer_all({"code": totp(user.secret)})
    run("TOTP x TOTP", contest)


def test_recovery_and_recovery(run):
    def contest(lane):
        user = Factors(lane)
        while True:
            for code in user.codes:
                yield user.answer_all({"recovery_code": code})
            user.codes = user.post("recovery-codes", {})["recovery_codes"]
    run("recovery x recovery", contest)


def test_disable_and_signin(run):
    """Two that disable the user, one of which does, and sign-ins on both gateways around it."""
    def contest(lane):
        address = f"lane{lane.number}@example.test"
        path = f"/admin/users/{lane.user(address)}"
        while True:
            etag = lane.end(lane.begin(0, "GET", path, None, lane.root))[2]
            disable = [request(i, "PATCH", path, {"disabled": True}, lane.root, etag) for i in (0, 1)]
            begun = [lane.begin(*a, **kw) for a, kw in disable[:lane.dice.randrange(3)]]
            if begun:
                lane.let_pass(begun[0], lane.dice.uniform(0, 0.03))
            signins = []
            for i in (0, 1):
                signins.append(lane.begin(i, "POST", "/v1/auth/signin", {"email": address, "password": PASSWORD}))
                lane.let_pass(signins[0], lane.dice.uniform(0, 0.004))
            begun += [lane.begin(*a, **kw) for a, kw in disable[len(begun):]]
            winner = one_wins([lane.end(b)[:2] for b in begun], 200, {(412, "precondition_failed")})
            answers = [lane.end(s)[:2] for s in signins]
            let_in = [tokens for status, tokens in answers if status == 200]
            assert all(status == 200 or a["code"] == "invalid_credentials" for status, a in answers), answers
            for tokens in let_in:
                lane.is_over(tokens, winner)
            for i in (0, 1):
                assert lane.call(i, "POST", "/v1/auth/signin", {"email": address, "password": PASSWORD})[0] == 401
            assert lane.call(0, "PATCH", path, {"disabled": False}, lane.root)[0] == 200
            yield f"{len(let_in)} of 2 signed in, then out"
    run("disable x sign-in", contest)
