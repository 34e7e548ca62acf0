"""The life of a password: what is refused, what is kept, and when it is hashed anew."""
import subprocess
import unicodedata

import pytest

from harness.gateway import wait_for
from harness.paths import GATEWAYD, program
from test_admin import code

PASSWORD = "seven purple otters juggle"


def signup(gw, email, password):
    return gw.call("POST", "/v1/auth/signup", json={"email": email, "password": password})


def signin(gw, email, password):
    return gw.call("POST", "/v1/auth/signin", json={"email": email, "password": password})


def stored(gw, email):
    return subprocess.run(["sqlite3", gw.directory / "gateway.db", f"SELECT password_phc FROM user WHERE email='{email}'"],
                          capture_output=True, text=True, check=True).stdout.strip()


def change(gw, token, old, new):
    return gw.call("POST", "/v1/auth/password", token=token, json={"current_password": old, "new_password": new})


def test_stronger_parameters_hold_from_a_reload_on(gateway):
    gw = gateway(config={"auth.argon2.memory_kib": 1024, "auth.argon2.iterations": 1})
    assert signup(gw, "ann@x.test", PASSWORD).status_code == 201
    assert "$m=1024,t=1,p=1$" in stored(gw, "ann@x.test")
    gw.signin("ann@x.test", PASSWORD)
    before = stored(gw, "ann@x.test")
    gw.replicas[0].reload(auth__argon2__memory_kib=2048, auth__argon2__iterations=3, auth__argon2__parallelism=2)
    wait_for(gw, lambda: any(e.get("msg") == "reloaded" for e in gw.replicas[0].log()))
    assert signin(gw, "ann@x.test", "wrong").status_code == 401 and stored(gw, "ann@x.test") == before
    token = gw.signin("ann@x.test", PASSWORD)["access_token"]
    after = stored(gw, "ann@x.test")
    assert "$m=2048,t=3,p=2$" in after
    # that was no change of the password: sessions live on, the next sign-in leaves it alone
    gw.signin("ann@x.test", PASSWORD)
    assert stored(gw, "ann@x.test") == after
    assert gw.call("GET", "/v1/me", token=token).status_code == 200
    # weaker again: what is stored is good enough
    gw.replicas[0].reload(auth__argon2__iterations=1)
    wait_for(gw, lambda: sum(e.get("msg") == "reloaded" for e in gw.replicas[0].log()) == 2)
    gw.signin("ann@x.test", PASSWORD)
    assert stored(gw, "ann@x.test") == after


def test_lengths_are_as_configured(gateway):
    gw = gateway(config={"auth.password.min_length": 15, "auth.password.max_length": 1024})
    assert code(signup(gw, "ann@x.test", "zq7 otters jug")) == (400, "weak_password")
    assert signup(gw, "ann@x.test", "zq7 otters jugg").status_code == 201
    long = "".join(chr(0x1F400 + i % 50) for i in range(1024))  # 4 bytes each
    assert signup(gw, "bo@x.test", long).status_code == 201
    assert code(signup(gw, "cy@x.test", long + "x")) == (400, "weak_password")
    # nothing is cut off
    assert code(signin(gw, "bo@x.test", long[:-1])) == (401, "invalid_credentials")
    assert code(signin(gw, "bo@x.test", long[:-1] + "x")) == (401, "invalid_credentials")
    # whoever has a longer one than is taken by now still gets in
    gw.replicas[0].reload(auth__password__max_length=64)
    wait_for(gw, lambda: code(signup(gw, "dee@x.test", "z" + PASSWORD * 3)) == (400, "weak_password"))
    token = signin(gw, "bo@x.test", long)
    assert token.status_code == 200
    assert code(change(gw, token.json()["access_token"], long, long[1:])) == (400, "weak_password")
    assert change(gw, token.json()["access_token"], long, PASSWORD).status_code == 204


@pytest.mark.parametrize("config, fault", [
    ({"auth.password.min_length": 7}, "auth.password.min_length"),
    ({"auth.password.max_length": 63}, "auth.password.max_length"),
    ({"auth.password.min_length": 100, "auth.password.max_length": 64}, "more than auth.password.max_length"),
])
def test_lengths_that_cannot_be(gateway, config, fault):
    gw = gateway(config=config, start=False)
    gw.replicas[0].write_config()
    p = subprocess.run([program(GATEWAYD), "-c", gw.replicas[0].config_path, "--check"], capture_output=True, text=True)
    assert p.returncode != 0 and fault in p.stderr


def test_composed_and_decomposed_letters_are_one_password(gateway):
    gw = gateway()
    word = "Žluťoučký kůň úpěl"
    composed, decomposed = unicodedata.normalize("NFC", word), unicodedata.normalize("NFD", word)
    assert composed != decomposed
    assert signup(gw, "ann@x.test", decomposed).status_code == 201
    for spelling in (composed, decomposed):
        assert signin(gw, "ann@x.test", spelling).status_code == 200
    assert code(signin(gw, "ann@x.test", "Zlutoucky kun upel")) == (401, "invalid_credentials")


@pytest.mark.parametrize("password, reason", [
    ("password1", "common"), ("PASSWORD1", "common"), ("iloveyou", "common"), ("aaaaaaaaaaaa", "guessable"),
    ("xx ann.lee@corp.test xx", "contains_email"), ("my ANN.LEE secret", "contains_email"),
])
def test_every_way_to_a_new_password_holds_to_the_policy(gateway, password, reason):
    gw = gateway()
    admin = gw.signin()["access_token"]
    email = "Ann.Lee@corp.test"
    uid = gw.admin("POST", "/admin/users", admin, {"email": email, "password": PASSWORD})["id"]
    token = gw.signin(email, PASSWORD)["access_token"]
    answers = {
        "signup": signup(gw, "Ann.Lee@corp.test", password),
        "create": gw.call("POST", "/admin/users", token=admin, listener="admin",
                          json={"email": "Ann.Lee@corp.test", "password": password}),
        "set": gw.call("PUT", f"/admin/users/{uid}/password", token=admin, listener="admin", json={"password": password}),
        "change": change(gw, token, PASSWORD, password),
    }
    for way, r in answers.items():
        assert code(r) == (400, "weak_password"), way
        assert r.json()["details"]["reason"] == reason, way
    assert signin(gw, email, PASSWORD).status_code == 200
