"""Signing up, forgetting and resetting by mail: the links as they stand in the letters of the spool."""
import base64
import concurrent.futures
import email
import email.policy
import subprocess
import uuid

import pytest

from harness.timing import Sampler, shuffled, told_apart
from harness.wait import until
from test_mfa import totp

PASSWORD = "seven purple otters juggle"
OTHER = "nine yellow badgers whistle"
VERIFY = {"auth.signup": "verify"}


def post(gw, path, body, **kw):
    return gw.call("POST", f"/v1/auth/{path}", json=body, **kw)


def code(r):
    return r.status_code, r.json()["code"]


def letters(gw, to=None, subject=None):
    """What has been sent, oldest first."""
    found = []
    for f in sorted((gw.directory / "mail").glob("[!.]*.eml")):
        m = email.message_from_bytes(f.read_bytes(), policy=email.policy.default)
        if (to is None or m["to"] == to) and (subject is None or subject in m["subject"]):
            found.append(m)
    return found


def letter(gw, to, subject, n=1):
    return until(lambda: len(found := letters(gw, to, subject)) >= n and found)[n - 1]


def token(m):
    return m.get_content().split("token=")[1].split()[0]


def signup(gw, address, password=PASSWORD):
    r = post(gw, "signup", {"email": address, "password": password})
    assert (r.status_code, r.json()) == (202, {}), r.text


def signin(gw, address, password=PASSWORD, **kw):
    return post(gw, "signin", {"email": address, "password": password}, **kw)


def confirmed(gw, address):
    signup(gw, address)
    r = post(gw, "verify", {"token": token(letter(gw, address, "Confirm"))})
    assert r.status_code == 204, r.text


def forgot(gw, address):
    r = post(gw, "forgot", {"email": address})
    assert (r.status_code, r.json()) == (202, {}), r.text


def sql(gw, statement):
    subprocess.run(["sqlite3", "-cmd", ".timeout 5000", gw.store_url[7:], statement], check=True, timeout=60)


def a_minute_passes(gw):
    sql(gw, "UPDATE tries SET at = at - 61000000")


def test_an_address_is_confirmed_before_anybody_signs_in(gateway):
    gw = gateway(config={**VERIFY, "auth.allow_basic_without_tls": True})
    signup(gw, "ann@example.test")
    assert code(signin(gw, "ann@example.test")) == (401, "invalid_credentials")
    basic = {"authorization": "Basic " + base64.b64encode(f"ann@example.test:{PASSWORD}".encode()).decode()}
    assert gw.call("GET", "/v1/me", headers=basic).status_code == 401
    link = token(letter(gw, "ann@example.test", "Confirm"))
    assert code(post(gw, "reset", {"token": link, "new_password": OTHER})) == (400, "token_invalid")
    assert post(gw, "verify", {"token": link}).status_code == 204
    assert code(post(gw, "verify", {"token": link})) == (400, "token_invalid")
    assert signin(gw, "ann@example.test").status_code == 200
    assert gw.call("GET", "/v1/me", headers=basic).status_code == 200


def test_an_account_keeps_the_first_password_and_strangers_are_not_let_in(gateway):
    gw = gateway(config=VERIFY)
    signup(gw, "ann@example.test")
    first = token(letter(gw, "ann@example.test", "Confirm"))
    signup(gw, "ann@example.test", OTHER)  # whose password is right, only the reader of the mail can say
    reset = token(letter(gw, "ann@example.test", "Reset"))
    assert code(post(gw, "verify", {"token": first})) == (400, "token_invalid")
    for password in PASSWORD, OTHER:
        assert signin(gw, "ann@example.test", password).status_code == 401
    mine = "a third one that nobody else has typed"
    assert post(gw, "reset", {"token": reset, "new_password": mine}).status_code == 204
    assert signin(gw, "ann@example.test", mine).status_code == 200
    for password in PASSWORD, OTHER:
        assert signin(gw, "ann@example.test", password).status_code == 401


def test_signing_up_again_gets_another_link_but_not_within_a_minute(gateway):
    gw = gateway(config=VERIFY)
    signup(gw, "ann@example.test")
    first = token(letter(gw, "ann@example.test", "Confirm"))
    signup(gw, "ann@example.test")
    a_minute_passes(gw)
    signup(gw, "ANN@example.test")
    second = token(letter(gw, "ann@example.test", "Confirm", 2))
    assert len(letters(gw, "ann@example.test")) == 2 and first != second
    assert code(post(gw, "verify", {"token": first})) == (400, "token_invalid")
    assert post(gw, "verify", {"token": second}).status_code == 204


def test_who_has_an_account_is_told_by_mail_alone(gateway):
    gw = gateway(config=VERIFY)
    confirmed(gw, "ann@example.test")
    a_minute_passes(gw)
    signup(gw, "ann@example.test", OTHER)
    letter(gw, "ann@example.test", "already have an account")
    assert signin(gw, "ann@example.test", OTHER).status_code == 401
    assert signin(gw, "ann@example.test").status_code == 200


def test_a_user_that_an_administrator_made_needs_no_link(gateway):
    gw = gateway(config=VERIFY)
    root = gw.signin()["access_token"]
    gw.admin("POST", "/admin/users", root, {"email": "bob@example.test", "password": PASSWORD})
    assert signin(gw, "bob@example.test").status_code == 200


@pytest.mark.parametrize("store", ["sqlite", "rqlite"])
def test_a_reset_ends_all_sessions_at_once_and_holds_once(gateway, store):
    gw = gateway(store=store, config=VERIFY)
    confirmed(gw, "ann@example.test")
    old = signin(gw, "ann@example.test").json()
    forgot(gw, "Ann@Example.test")
    link = token(letter(gw, "ann@example.test", "Reset"))
    body = {"token": link, "new_password": OTHER}
    assert code(post(gw, "reset", {"token": link, "new_password": "short"})) == (400, "weak_password")
    assert post(gw, "reset", body).status_code == 204
    assert gw.call("GET", "/v1/me", token=old["access_token"]).status_code == 401
    assert post(gw, "refresh", {"refresh_token": old["refresh_token"]}).status_code == 401
    assert signin(gw, "ann@example.test").status_code == 401
    assert signin(gw, "ann@example.test", OTHER).status_code == 200
    assert code(post(gw, "reset", body)) == (400, "token_invalid")
    assert "token=" not in letter(gw, "ann@example.test", "was changed").get_content()


def test_a_changed_password_is_told_and_voids_the_link_under_way(gateway):
    gw = gateway(config=VERIFY)
    confirmed(gw, "ann@example.test")
    forgot(gw, "ann@example.test")
    link = token(letter(gw, "ann@example.test", "Reset"))
    t = signin(gw, "ann@example.test").json()["access_token"]
    r = post(gw, "password", {"current_password": PASSWORD, "new_password": OTHER}, token=t)
    assert r.status_code == 204
    letter(gw, "ann@example.test", "was changed")
    assert code(post(gw, "reset", {"token": link, "new_password": PASSWORD})) == (400, "token_invalid")


def test_links_expire_and_are_for_one_account_that_is_enabled(gateway):
    gw = gateway(config=VERIFY)
    confirmed(gw, "ann@example.test")
    forgot(gw, "ann@example.test")
    link = token(letter(gw, "ann@example.test", "Reset"))
    assert code(post(gw, "verify", {"token": link})) == (400, "token_invalid")
    sql(gw, "UPDATE one_time_token SET expires_at = created_at + 1")
    assert code(post(gw, "reset", {"token": link, "new_password": OTHER})) == (400, "token_invalid")
    assert code(post(gw, "reset", {"token": "x", "new_password": OTHER})) == (400, "token_invalid")
    assert signin(gw, "ann@example.test").status_code == 200


def test_what_an_administrator_does_about_an_account_voids_links_under_way(gateway):
    """Also when it is undone before they would have expired: whoever reads that mail may be the reason."""
    gw = gateway(config=VERIFY)
    root = gw.signin()["access_token"]
    for n, there_and_back in enumerate(([{"disabled": True}, {"disabled": False}],
                                        [{"email": "new@example.test"}, {"email": "ann1@example.test"}])):
        address = f"ann{n}@example.test"
        user = gw.admin("POST", "/admin/users", root, {"email": address, "password": PASSWORD})["id"]
        forgot(gw, address)
        link = token(letter(gw, address, "Reset"))
        for change in there_and_back:
            gw.admin("PATCH", f"/admin/users/{user}", root, change)
        assert code(post(gw, "reset", {"token": link, "new_password": OTHER})) == (400, "token_invalid")


def with_factor(gw, address, password):
    """Signs in and enrols: the tokens, and the secret."""
    tokens = signin(gw, address, password).json()
    factor = lambda path, body: post(gw, f"mfa/totp/{path}", body, token=tokens["access_token"])
    secret = factor("enroll", {}).json()["secret"]
    assert factor("confirm", {"code": totp(secret, -1)}).status_code == 200
    return tokens, secret


def proved_by_reset(gw, address):
    forgot(gw, address)
    mine = "a password that its owner alone has typed"
    return "reset", {"token": token(letter(gw, address, "Reset")), "new_password": mine}, mine


def proved_by_confirming(gw, address):
    """The operator has turned to `verify`, and somebody signed up again."""
    gw.replicas[0].reload(auth__signup="verify")
    until(lambda: post(gw, "signup", {"email": address, "password": PASSWORD}).status_code == 202)
    return "verify", {"token": token(letter(gw, address, "Confirm"))}, PASSWORD


@pytest.mark.parametrize("prove", [proved_by_reset, proved_by_confirming])
def test_whoever_first_proves_an_address_inherits_nothing_that_lets_a_stranger_in(gateway, prove):
    """With `open`, anybody can sign up with the address and make itself at home."""
    gw, ann = gateway(config={"auth.signup": "open"}), "ann@example.test"
    assert post(gw, "signup", {"email": ann, "password": PASSWORD}).status_code == 201
    tokens, secret = with_factor(gw, ann, PASSWORD)
    waiting = signin(gw, ann).json()["details"]["mfa_token"]
    path, body, password = prove(gw, ann)
    assert post(gw, path, body).status_code == 204
    assert gw.call("GET", "/v1/me", token=tokens["access_token"]).status_code == 401
    assert post(gw, "refresh", {"refresh_token": tokens["refresh_token"]}).status_code == 401
    assert post(gw, "mfa/verify", {"mfa_token": waiting, "code": totp(secret)}).status_code == 401
    assert code(signin(gw, ann, password)) == (401, "mfa_required")  # a mailbox alone is not enough to come in


def test_a_reset_keeps_the_factor_of_whoever_has_proved_the_address(gateway):
    gw, ann = gateway(config=VERIFY), "ann@example.test"
    confirmed(gw, ann)
    with_factor(gw, ann, PASSWORD)
    path, body, password = proved_by_reset(gw, ann)
    assert post(gw, path, body).status_code == 204
    assert code(signin(gw, ann, password)) == (401, "mfa_required")


def test_resets_at_once_have_one_winner(gateway):
    gw = gateway(config=VERIFY, replicas=2)
    confirmed(gw, "ann@example.test")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for n in range(1, 6):
            forgot(gw, "ann@example.test")
            link = token(letter(gw, "ann@example.test", "Reset", n))
            passwords = [f"a password of round {n} and of try {i}" for i in range(8)]
            answers = list(pool.map(lambda i: post(gw, "reset", {"token": link, "new_password": passwords[i]},
                                                   replica=i % 2), range(8)))
            won = [i for i, r in enumerate(answers) if r.status_code == 204]
            assert len(won) == 1, (n, [r.text[:30] for r in answers])
            assert all(code(r) == (400, "token_invalid") for i, r in enumerate(answers) if i != won[0])
            assert signin(gw, "ann@example.test", passwords[won[0]]).status_code == 200


def test_the_time_tells_nothing_of_an_address(gateway):
    """As configured by default; test_timing.py looks closer."""
    gw = gateway(config={**VERIFY, "limits.attempts_per_address": 0})
    confirmed(gw, "ann@example.test")
    signup(gw, "waits@example.test")
    sampler = Sampler(gw.replicas[0].address["http"])

    def call(path, address, **more):
        return lambda: sampler.post(f"/v1/auth/{path}", {"email": address(), **more})
    known, waits, strange = lambda: "ann@example.test", lambda: "waits@example.test", lambda: f"{uuid.uuid4()}@example.test"
    assert not told_apart(shuffled({"known": call("forgot", known), "unknown": call("forgot", strange)}, 80), "unknown")
    of = {"known": known, "waits": waits, "new": strange}
    assert not told_apart(shuffled({k: call("signup", v, password=PASSWORD) for k, v in of.items()}, 60), "new")


def test_an_address_that_no_mail_reaches_is_answered_alike(gateway):
    gw = gateway(config=VERIFY)
    forgot(gw, "nobody")
    forgot(gw, "nobody@example.test")
    signup(gw, "ann@example.test")
    letter(gw, "ann@example.test", "Confirm")
    assert len(letters(gw)) == 1
