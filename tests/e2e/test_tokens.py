"""Credentials of every class at the door: what lets in, what does not, and that a refusal never says
why. How tokens are signed is in test_jws_foreign.py, how they are issued in test_auth.py."""
import base64
import hashlib
import hmac
import json
import time
import uuid

import pytest
from jwcrypto import jwk

from harness.door import Door, assert_refused, b64u, before_its_end, joined, parts, signed
from harness.gateway import ADMIN_EMAIL, ADMIN_PASSWORD
from harness.wait import until


@pytest.fixture
def door(gateway):
    return Door(gateway())


def forgeries(door):
    """(name, token): each a good token with one thing wrong."""
    head, claims, sig = parts(door.good)
    public = door.gw.call("GET", "/.well-known/jwks.json").json()["keys"][0]
    mine = jwk.JWK.generate(kty="EC", crv="P-256")
    pem = jwk.JWK(**public).export_to_pem()
    for none in ("none", "None", "NONE", "nOnE", "none ", "", "null", None, 0, ["none"]):
        yield f"alg {none!r}", joined({**head, "alg": none}, claims, b"")
        yield f"alg {none!r}, old signature", joined({**head, "alg": none}, claims, sig)
    yield "no alg", joined({k: v for k, v in head.items() if k != "alg"}, claims, sig)
    for alg in ("es256", "ES384", "RS256", "EdDSA"):
        yield f"alg {alg}", joined({**head, "alg": alg}, claims, sig)
    for secret in (pem, json.dumps(public).encode(), public["x"].encode()):
        t = joined({**head, "alg": "HS256"}, claims, b"")[:-1]
        yield "HS256 with the public key", f"{t}.{b64u(hmac.new(secret, t.encode(), hashlib.sha256).digest())}"
    yield "another key, our kid", signed(mine, head, claims)
    yield "another key, its own kid", signed(mine, {**head, "kid": mine.thumbprint()}, claims)
    yield "key in the header", signed(mine, {**head, "jwk": mine.export_public(as_dict=True)}, claims)
    for name in ("jku", "x5u", "x5c", "jwk", "crit", "b64"):
        yield f"{name} in the header", joined({**head, name: "https://evil.test/keys"}, claims, sig)
    yield "address of keys, signed", signed(mine, {**head, "jku": "https://evil.test/keys", "kid": mine.thumbprint()}, claims)
    yield "an ID token", signed(mine, {**head, "typ": "JWT"}, {**claims, "nonce": "n"})
    yield "a refresh token", door.refresh_token
    yield "no kid", signed(mine, {"alg": "ES256", "typ": "at+jwt"}, claims)
    yield "claims changed", joined(head, {**claims, "exp": claims["exp"] + 1}, sig)
    yield "subject changed", joined(head, {**claims, "sub": str(uuid.uuid4())}, sig)
    yield "typ changed", joined({**head, "typ": "JWT"}, claims, sig)
    yield "signature zero", joined(head, claims, bytes(64))
    yield "signature empty", joined(head, claims, b"")
    yield "signature in DER", joined(head, claims, b"\x30\x44\x02\x20" + sig[:32] + b"\x02\x20" + sig[32:])
    yield "signature longer", joined(head, claims, sig + b"\0")
    h, c, s = door.good.split(".")
    twice = json.dumps(claims)[:-1] + f',"sub":"{claims["sub"]}"}}'
    yield "a claim twice", f"{h}.{b64u(twice.encode())}.{s}"
    twice = json.dumps(head)[:-1] + ',"alg":"ES256"}'
    yield "a header twice", f"{b64u(twice.encode())}.{c}.{s}"
    order = int("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
    r_, s_ = int.from_bytes(sig[:32], "big"), int.from_bytes(sig[32:], "big")
    for name, a, b in (("r zero", 0, s_), ("s zero", r_, 0), ("r the order", order, s_), ("s the order", r_, order),
                       ("r past the order", 2 ** 256 - 1, s_), ("s past the order", r_, 2 ** 256 - 1)):
        yield name, joined(head, claims, a.to_bytes(32, "big") + b.to_bytes(32, "big"))
    # the last character has bits that mean nothing: they must be zero
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(s[-1])
    for bits in range(1, 16):
        yield f"bits that mean nothing: {bits}", f"{h}.{c}.{s[:-1]}{alphabet[last ^ bits]}"
    yield "padding", f"{h}.{c}.{s}=="
    yield "garbage behind", f"{door.good}.x"
    yield "standard alphabet", f"{h}.{c}+.{s}"
    yield "two parts", f"{h}.{c}"
    yield "nothing", ""
    yield "blank within", f"{h}. {c}.{s}"
    yield "not UTF-8", f"{b64u(bytes([255, 254]))}.{c}.{s}"
    yield "huge", "A" * 20000
    yield "huge signature", f"{h}.{c}.{'A' * 10000}"
    yield "huge claims", f"{h}.{'A' * 10000}.{s}"


def test_a_megabyte_of_token(door):
    """Refused before it is read, and the gateway goes on."""
    for text in ("A" * (1 << 20), "A." * (1 << 19), door.good + "A" * (1 << 20)):
        head = f"GET /v1/me HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {text}\r\n\r\n"
        answer = door.gw.replicas[0].raw(head.encode())
        assert answer.split(b"\r\n")[0].split()[1] == b"431", answer[:200]
    assert door.me(f"Bearer {door.good}").status_code == 200


def test_forgeries(door):
    assert door.me(f"Bearer {door.good}").status_code == 200
    for name, token in forgeries(door):
        for _ in range(2):  # the second time from what was remembered
            r = door.me(f"Bearer {token}")
            assert r.status_code in (401, 431) if name.startswith("huge") else r.status_code == 401, f"{name}: {r.text}"
            if r.status_code == 401:
                assert_refused(r)
    assert door.me(f"Bearer {door.good}").status_code == 200
    assert door.failures() > 40


def test_a_token_of_another_gateway(gateway):
    one, other = Door(gateway()), Door(gateway())
    assert_refused(other.me(f"Bearer {one.good}"))


@pytest.mark.parametrize("header", ["", "Bearer", "bearer ", "Token x", "Bearer\tx", "gwk_x", "Basic", "Basic Og==",
                                    "Basic !", "Bearer gwk_", "Bearer gwk_0_0", "Digest username=x"])
def test_malformed_headers(door, header):
    assert_refused(door.me(header))


def test_two_headers_are_refused(door):
    line = f"authorization: Bearer {door.good}\r\n"
    one = f"GET /v1/me HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{line}\r\n"
    assert b" 200 " in door.gw.replicas[0].raw(one.encode()).split(b"\r\n")[0]
    two = one.replace(line, line * 2)
    assert door.gw.replicas[0].raw(two.encode()).split(b"\r\n")[0].split()[1] in (b"400", b"401")


def test_the_scheme_has_no_case(door):
    assert door.me(f"bEARER {door.good}").status_code == 200
    assert door.me(f"Bearer   {door.good}").status_code == 200


def test_a_token_expires(gateway):
    door = Door(gateway(config={"auth.access_ttl": "2s"}))
    exp = parts(door.good)[1]["exp"]
    before = door.me(f"Bearer {door.good}").status_code
    assert before == 200 or time.time() >= exp
    until(lambda: time.time() >= exp, what="the token's end")
    assert_refused(door.me(f"Bearer {door.good}"))


def test_tokens_outlive_a_rotation_of_keys(door):
    door.gw.admin("POST", "/admin/keys/rotate", door.good)
    new = door.gw.signin()["access_token"]
    assert parts(new)[0]["kid"] != parts(door.good)[0]["kid"]
    assert door.me(f"Bearer {door.good}").status_code == 200
    assert door.me(f"Bearer {new}").status_code == 200


# ---- service accounts --------------------------------------------------------------------------

def test_api_key(door):
    sa, c = door.service_account(("*", "platform-admin"))
    key = c["secret"]
    assert key.startswith("gwk_")
    for _ in range(2):
        r = door.me(f"Bearer {key}")
        assert r.status_code == 200 and r.json()["id"] == sa and r.json()["kind"] == "service_account"
        assert r.json()["auth"]["method"] == "api_key"
    for wrong in (key[:-2] + ("AA" if key[-2:] != "AA" else "BB"), key[:-1], key + "A", key.upper(),
                  f"gwk_{'0' * 32}_{key[-43:]}"):
        assert_refused(door.me(f"Bearer {wrong}"))
    path = f"/admin/service-accounts/{sa}"
    again = door.gw.admin("POST", f"{path}/credentials", door.good, {"kind": "api_key"})  # rotation overlaps
    assert door.me(f"Bearer {key}").status_code == door.me(f"Bearer {again['secret']}").status_code == 200
    door.gw.admin("DELETE", f"{path}/credentials/{c['id']}", door.good)
    assert_refused(door.me(f"Bearer {key}"))
    assert door.me(f"Bearer {again['secret']}").status_code == 200
    door.gw.admin("PATCH", path, door.good, {"disabled": True})
    assert_refused(door.me(f"Bearer {again['secret']}"))


def test_an_api_key_expires(door):
    def use(stamp):
        _, c = door.service_account(expires_at=stamp)
        assert door.me(f"Bearer {c['secret']}").status_code == 200
        return c
    c, end = before_its_end(use)
    until(lambda: time.time() > end, what="the key's end")
    assert_refused(door.me(f"Bearer {c['secret']}"))


# ---- Basic -------------------------------------------------------------------------------------

def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_basic_over_plaintext_is_refused(door):
    sa, c = door.service_account(kind="secret")
    assert_refused(door.me(basic(ADMIN_EMAIL, ADMIN_PASSWORD)))
    assert_refused(door.me(basic(ADMIN_EMAIL, "wrong")))
    assert_refused(door.me(basic(sa, c["secret"])))


def test_basic_where_allowed(gateway):
    door = Door(gateway(config={"auth.allow_basic_without_tls": True}))
    sa, c = door.service_account(kind="secret")
    for _ in range(2):
        r = door.me(basic(sa, c["secret"]))
        assert r.status_code == 200 and r.json()["id"] == sa and r.json()["auth"]["method"] == "basic"
    r = door.me(basic(ADMIN_EMAIL.upper(), ADMIN_PASSWORD))
    assert r.status_code == 200 and r.json()["kind"] == "user"
    for user, password in ((ADMIN_EMAIL, "wrong"), (ADMIN_EMAIL, ""), ("nobody@example.test", ADMIN_PASSWORD),
                           (sa, "wrong"), (sa, ADMIN_PASSWORD), ("", ""), (str(uuid.uuid4()), c["secret"]),
                           (ADMIN_EMAIL, c["secret"]), (sa, c["secret"] + "A")):
        assert_refused(door.me(basic(user, password)))
    door.gw.admin("DELETE", f"/admin/service-accounts/{sa}/credentials/{c['id']}", door.good)
    assert_refused(door.me(basic(sa, c["secret"])))


def test_pages_of_other_origins_change_nothing_with_what_browsers_add(gateway):
    """A browser that keeps a password sends it along with whatever any page asks for, without a preflight."""
    door = Door(gateway(config={"auth.allow_basic_without_tls": True, "cors.origins": ["https://app.test", "*"]}))
    basic, own = (ADMIN_EMAIL, ADMIN_PASSWORD), door.gw.replicas[0].address["admin"]

    def create(n, origin, **kw):
        return door.gw.call("POST", "/admin/tenants", listener="admin", json={"id": f"t{n}", "name": "T"},
                            headers={"origin": origin} if origin else {}, **kw)
    for n, origin in enumerate(("https://evil.test", "null", f"http://{own}.evil.test", f"ftp://{own}", "https://app.test.")):
        r = create(n, origin, auth=basic)
        assert (r.status_code, r.json()["code"]) == (403, "forbidden"), (origin, r.text)
        assert create(n, origin, token=door.good).status_code == 201, "what only a script of its owner sends"
    for n, origin in enumerate((None, "https://app.test", f"http://{own}"), 100):
        assert create(n, origin, auth=basic).status_code == 201, origin
    assert door.gw.call("GET", "/v1/me", auth=basic, headers={"origin": "https://evil.test"}).status_code == 200
    refused = [a for a in door.gw.admin("GET", "/admin/audit?action=tenants.create", door.good)["items"] if a["outcome"] != "ok"]
    assert len(refused) == 5


def test_a_reload_allows_and_forbids_basic(door):
    replica = door.gw.replicas[0]
    replica.reload(auth__allow_basic_without_tls=True)
    until(lambda: door.me(basic(ADMIN_EMAIL, ADMIN_PASSWORD)).status_code == 200, what="the reload")
    replica.reload(auth__allow_basic_without_tls=False)
    until(lambda: door.me(basic(ADMIN_EMAIL, ADMIN_PASSWORD)).status_code == 401, what="the reload")
