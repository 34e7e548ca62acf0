"""Signing in by a provider that lies, hangs or is somebody else, and answers that are not the browser's own."""
import concurrent.futures
import hashlib
import hmac
import itertools
import json
import time

import pytest
from jwcrypto import jwk, jws

from harness.hostile import Hostile, b64u, raw_token
from harness.openid import CLIENT_ID, CLIENT_SECRET, Browser, settings
from harness.wait import until

GATEWAY = "http://gateway.test"


@pytest.fixture
def hostile():
    h = Hostile()
    yield h
    h.stop()


@pytest.fixture
def gw(gateway, hostile):
    config, env = settings(hostile.issuer, **{"auth.signup": "verify", "control.threads": 8})
    return gateway(config=config, env=env)


def start(gw):
    b = Browser({GATEWAY: gw.replicas[0].http})
    r = b.request("POST", f"{GATEWAY}/v1/auth/oidc/google/start", json={})
    return b, r


def begin(gw):
    b, r = start(gw)
    assert r.status_code == 200, r.text
    return b, r.json()["authorization_url"]


def sign_in(gw, hostile, **more):
    b, url = begin(gw)
    return b.request("GET", hostile.callback(url, **more))


def code(r):
    return r.status_code, r.json()["code"]


INVALID = (401, "oidc_invalid")


def test_the_honest_way(gw, hostile):
    r = sign_in(gw, hostile)
    assert r.status_code == 200, r.text
    assert hostile.verifier_fits and hostile.requests.count("/token") == 1


def late(**more):
    """Claims that depend on now: seconds from it."""
    return lambda c: {**c, **{k: int(time.time()) + v for k, v in more.items()}}


CLAIMS = [
    ("iss of another", lambda c: {**c, "iss": "https://accounts.google.com"}, False),
    ("iss with a slash", lambda c: {**c, "iss": c["iss"] + "/"}, False),
    ("no iss", lambda c: {k: v for k, v in c.items() if k != "iss"}, False),
    ("aud of another", lambda c: {**c, "aud": "another client"}, False),
    ("aud of two", lambda c: {**c, "aud": [CLIENT_ID, "another client"]}, False),
    ("aud of two, azp ours", lambda c: {**c, "aud": [CLIENT_ID, "another client"], "azp": CLIENT_ID}, False),
    ("aud of one in a list", lambda c: {**c, "aud": [CLIENT_ID]}, True),
    ("empty aud", lambda c: {**c, "aud": []}, False),
    ("azp of another", lambda c: {**c, "azp": "another client"}, False),
    ("azp ours", lambda c: {**c, "azp": CLIENT_ID}, True),
    ("nonce of another", lambda c: {**c, "nonce": "A" * 43}, False),
    ("no nonce", lambda c: {k: v for k, v in c.items() if k != "nonce"}, False),
    ("expired", late(exp=-65), False),
    ("expired within the skew", late(exp=-50), True),
    ("no exp", lambda c: {k: v for k, v in c.items() if k != "exp"}, False),
    ("exp as text", lambda c: {**c, "exp": str(c["exp"])}, False),
    ("exp with a fraction", lambda c: {**c, "exp": c["exp"] + 0.5}, False),
    ("issued in the future", late(iat=65), False),
    ("issued within the skew", late(iat=55), True),
    ("issued before it was asked for", late(iat=-65), False),
    ("no iat", lambda c: {k: v for k, v in c.items() if k != "iat"}, False),
    ("not yet", late(nbf=65), False),
    ("at_hash of another token", lambda c: {**c, "at_hash": b64u(bytes(16))}, False),
    ("no at_hash", lambda c: {k: v for k, v in c.items() if k != "at_hash"}, True),
    ("no sub", lambda c: {k: v for k, v in c.items() if k != "sub"}, False),
    ("empty sub", lambda c: {**c, "sub": ""}, False),
    ("sub as number", lambda c: {**c, "sub": 7}, False),
    ("long sub", lambda c: {**c, "sub": "x" * 255}, True),
    ("too long sub", lambda c: {**c, "sub": "x" * 256}, False),
    ("more claims", lambda c: {**c, "groups": ["a", {"b": [1, None]}], "locale": "de", "picture": None}, True),
]


@pytest.mark.parametrize("what,claims,ok", CLAIMS, ids=[c[0] for c in CLAIMS])
def test_claims(gw, hostile, what, claims, ok):
    hostile.claims = claims
    r = sign_in(gw, hostile)
    assert (r.status_code == 200) if ok else (code(r) == INVALID), r.text
    if not ok:
        hostile.claims = lambda c: c
        assert sign_in(gw, hostile).status_code == 200


def mac(claims, key, alg="HS256"):
    token = raw_token({"alg": alg, "kid": "one"}, claims)
    head = token[:-1]
    return f"{head}.{b64u(hmac.new(key, head.encode(), hashlib.sha256).digest())}"


def with_header(h, claims, **header):
    token = jws.JWS(json.dumps(claims).encode())
    token.add_signature(h.key, None, json.dumps({"alg": "ES256", "kid": "one", **header}))
    return token.serialize(compact=True)


def twice(h, claims):
    """sub twice, and the signature is right."""
    token = jws.JWS((json.dumps(claims)[:-1] + ', "sub": "root"}').encode())
    token.add_signature(h.key, None, json.dumps({"alg": "ES256", "kid": "one"}))
    return token.serialize(compact=True)


def by_another(h, claims, kid="one"):
    token = jws.JWS(json.dumps(claims).encode())
    token.add_signature(h.new_key(kid), None, json.dumps({"alg": "ES256", "kid": kid}))
    return token.serialize(compact=True)


TOKENS = [
    ("no signature", lambda h, c: raw_token({"alg": "none"}, c)),
    ("None", lambda h, c: raw_token({"alg": "None", "kid": "one"}, c)),
    ("MAC with the client's secret", lambda h, c: mac(c, CLIENT_SECRET.encode())),
    ("MAC with the public key", lambda h, c: mac(c, h.key.export_to_pem())),
    ("another algorithm of the key", lambda h, c: mac(c, b"x", "RS256")),
    ("signed by a stranger", lambda h, c: by_another(h, c)),
    ("signed by a key that is not published", lambda h, c: by_another(h, c, "two")),
    ("an access token", lambda h, c: with_header(h, c, typ="at+jwt")),
    ("brings its key", lambda h, c: with_header(h, c, jwk=json.loads(h.key.export_public()))),
    ("a claim twice", twice),
    ("a fourth part", lambda h, c: with_header(h, c) + ".x"),
    ("edited", lambda h, c: with_header(h, c)[:-4] + "AAAA"),
    ("huge", lambda h, c: with_header(h, {**c, "x": "y" * 20000})),
    ("empty", lambda h, c: ""),
]


@pytest.mark.parametrize("what,token", TOKENS, ids=[t[0] for t in TOKENS])
def test_tokens(gw, hostile, what, token):
    hostile.id_token = lambda claims: token(hostile, claims)
    assert code(sign_in(gw, hostile)) == INVALID
    hostile.id_token = None
    assert sign_in(gw, hostile).status_code == 200


RESPONSES = [
    ("no ID token", lambda r: {k: v for k, v in r.items() if k != "id_token"}, INVALID),
    ("no access token", lambda r: {k: v for k, v in r.items() if k != "access_token"}, INVALID),
    ("another type", lambda r: {**r, "token_type": "DPoP"}, INVALID),
    ("a list", lambda r: [r], INVALID),
    ("ID token twice", lambda r: (json.dumps(r)[:-1] + f', "id_token": {json.dumps(r["id_token"])}}}').encode(), INVALID),
    ("not JSON", lambda r: b"<html>", INVALID),
    ("empty", lambda r: b"", INVALID),
    ("too large", lambda r: {**r, "x": "y" * (1 << 20)}, (503, "provider_unavailable")),
    ("deep", lambda r: b"[" * 60000, INVALID),
]


@pytest.mark.parametrize("what,response,want", RESPONSES, ids=[r[0] for r in RESPONSES])
def test_token_responses(gw, hostile, what, response, want):
    hostile.response = response
    assert code(sign_in(gw, hostile)) == want


def away(handler):
    handler.close_connection = True


def drip(h):
    """A byte now and then, for ever."""
    def answer(handler):
        handler.send_response(200)
        handler.send_header("content-length", "100000")
        handler.end_headers()
        while not h.let_go.wait(0.2):
            handler.wfile.write(b" ")
            handler.wfile.flush()
    return answer


@pytest.mark.parametrize("what,answer,want", [
    ("500", lambda h: lambda x: x.json({}, 500), (503, "provider_unavailable")),
    ("redirect", lambda h: lambda x: x.json({}, 307, [("location", f"{h.issuer}/token")]), (503, "provider_unavailable")),
    ("refusal", lambda h: lambda x: x.json({"error": "invalid_grant"}, 400), (401, "oidc_refused")),
    ("refusal with bytes", lambda h: lambda x: x.json({"error": "a\n\"b"}, 400), (401, "oidc_refused")),
    ("closed", lambda h: away, (503, "provider_unavailable")),
    ("silence", lambda h: lambda x: h.let_go.wait(), (503, "provider_unavailable")),
    ("drip", drip, (503, "provider_unavailable"))])
def test_token_endpoints(gw, hostile, what, answer, want):
    hostile.answer = answer(hostile)
    t0 = time.monotonic()
    r = sign_in(gw, hostile)
    assert code(r) == want
    assert time.monotonic() - t0 < 20
    if "bytes" in what:
        assert r.json()["details"] == {}


def test_a_provider_that_hangs_costs_nobody_else(gw, hostile):
    """Two of eight control threads may wait for it; more are refused at once, and all else goes on."""
    assert sign_in(gw, hostile).status_code == 200
    hostile.answer = lambda handler: hostile.let_go.wait()
    begun = [begin(gw) for _ in range(10)]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        waiting = [pool.submit(b.request, "GET", hostile.callback(url)) for b, url in begun]
        first = [code(w.result()) for w in itertools.islice(concurrent.futures.as_completed(waiting), 8)]
        assert first == [(503, "overloaded")] * 8
        gw.signin()
        rest = [w for w in waiting if not w.done()]
        assert len(rest) == 2  # still: they give it five seconds
        hostile.let_go.set()
        assert {code(w.result()) for w in rest} == {(503, "provider_unavailable")}


def test_nothing_that_was_told_is_written_down(gateway, hostile):
    config, env = settings(hostile.issuer, **{"auth.signup": "verify", "log.level": "debug"})
    gw = gateway(config=config, env=env)
    assert sign_in(gw, hostile).status_code == 200
    hostile.claims = lambda c: {**c, "nonce": "another"}
    assert code(sign_in(gw, hostile)) == INVALID
    hostile.claims = lambda c: c
    hostile.response = lambda r: json.dumps(r).encode() + b"x"
    assert code(sign_in(gw, hostile)) == INVALID
    hostile.answer = lambda handler: handler.json({"error": "invalid_grant", "error_description": "secret"}, 400)
    assert code(sign_in(gw, hostile)) == (401, "oidc_refused")
    root = gw.signin()["access_token"]
    until(lambda: '"op":"auth.signin"' in gw.replicas[0].process.output())
    log = gw.replicas[0].process.output()
    assert log.count("does not hold") == 2 and "nonce" in log and "invalid_grant" in log
    places = [log, gw.call("GET", "/metrics", listener="admin").text,
              gw.call("GET", "/admin/audit?page_size=500", token=root, listener="admin").text]
    assert len(hostile.told) == 9
    for secret in [*hostile.told, *hostile.codes, *(q["state"] for q in hostile.codes.values())]:
        assert not any(secret in place for place in places), secret


# ---- answers of somebody else ---------------------------------------------------------------------

def test_another_address_that_folds_to_the_same(gw, hostile):
    """Mail to them goes to different people: the account is not theirs by a case folding."""
    root = gw.signin()["access_token"]
    line = {"email": "max@strasse.test", "email_verified": True}
    [made] = gw.admin("POST", "/admin/users:import", root, {"items": [line]})["results"]
    for n, address in enumerate(("max@stra\u00dfe.test", "max@\u017ftrasse.test")):
        hostile.person = {"sub": f"mallory{n}", "email": address, "email_verified": True}
        assert code(sign_in(gw, hostile)) == (409, "link_required")
    hostile.person = {"sub": "max", "email": "Max@Strasse.TEST", "email_verified": True}
    r = sign_in(gw, hostile)
    assert r.status_code == 200 and r.json()["user"]["id"] == made["id"], r.text


def test_a_mix_up_with_another_provider(gw, hostile):
    """RFC 9207: the answer names who gives it, announced or not; what names another one is not even asked about."""
    assert code(sign_in(gw, hostile, iss="https://evil.test")) == INVALID
    assert code(sign_in(gw, hostile, iss=hostile.issuer + "/")) == INVALID
    assert "/token" not in hostile.requests
    assert sign_in(gw, hostile, iss=hostile.issuer).status_code == 200


def test_an_announced_iss_must_be_there(gateway, hostile):
    hostile.metadata = {"authorization_response_iss_parameter_supported": True}
    config, env = settings(hostile.issuer)
    gw = gateway(config=config, env=env)
    assert code(sign_in(gw, hostile)) == INVALID
    assert "/token" not in hostile.requests
    assert sign_in(gw, hostile, iss=hostile.issuer).status_code == 200


def test_a_replayed_code(gw, hostile):
    """The provider takes a code again and again; its ID token is still for the sign-in that it was made for."""
    b, url = begin(gw)
    first = hostile.callback(url, code="c0de")
    assert b.request("GET", first).status_code == 200
    calls = hostile.requests.count("/token")
    assert code(b.request("GET", first)) == (400, "oidc_state_invalid")
    assert hostile.requests.count("/token") == calls  # nothing was asked
    b, url = begin(gw)
    assert code(b.request("GET", hostile.callback(url, code="c0de"))) == INVALID  # the nonce of the first
    assert not hostile.verifier_fits


def test_userinfo_of_somebody_else(gw, hostile):
    hostile.person = {"sub": "ann"}
    hostile.userinfo = {"sub": "root", "email": "root@example.test", "email_verified": True}
    assert code(sign_in(gw, hostile)) == INVALID
    hostile.userinfo = {"sub": "ann", "email": "ann@example.test", "email_verified": "true"}
    assert code(sign_in(gw, hostile)) == (403, "email_unverified")  # only true is true
    hostile.userinfo["email_verified"] = True
    assert sign_in(gw, hostile).status_code == 200
    hostile.userinfo = {}
    assert code(sign_in(gw, hostile)) == INVALID


@pytest.mark.parametrize("email", ["", "ann", "ann@", "a b@c.test", "x" * 300 + "@b.test"])
def test_addresses_that_are_none(gw, hostile, email):
    hostile.person["email"] = email
    assert code(sign_in(gw, hostile)) == (403, "email_unverified")


# ---- keys and metadata ----------------------------------------------------------------------------

def test_new_keys_are_fetched_but_not_for_every_made_up_kid(gw, hostile):
    hostile.id_token = lambda claims: by_another(hostile, claims, "made up")
    for _ in range(20):
        assert code(sign_in(gw, hostile)) == INVALID
    assert hostile.requests.count("/jwks") <= 2
    hostile.id_token = None
    hostile.key = hostile.new_key("next")
    hostile.published.append(hostile.key)
    until(lambda: sign_in(gw, hostile).status_code == 200)  # once the next fetch is due
    assert hostile.requests.count("/jwks") <= 4


@pytest.mark.parametrize("metadata", [
    {"issuer": "https://accounts.google.com"}, {"issuer": None}, {"token_endpoint": "http://evil.test/token"},
    {"authorization_endpoint": "javascript:alert(1)"}, {"jwks_uri": "http://evil.test/jwks"}, {"jwks_uri": None},
    {"token_endpoint": None}, {"response_types_supported": ["id_token"]},
    {"code_challenge_methods_supported": ["plain"]}], ids=str)
def test_metadata(gateway, hostile, metadata):
    hostile.metadata = metadata
    config, env = settings(hostile.issuer)
    gw = gateway(config=config, env=env)
    _, r = start(gw)
    assert code(r) == (503, "provider_unavailable")
    assert gw.call("GET", "/ready").status_code == 200


@pytest.mark.parametrize("trusted", [True, False])
def test_the_providers_certificate(gateway, authority, trusted):
    h = Hostile(authority.issue("provider", "IP:127.0.0.1"))
    try:
        more = {"oidc.ca": str(authority.cert)} if trusted else {}
        config, env = settings(h.issuer, **more)
        gw = gateway(config=config, env=env)
        if trusted:
            assert sign_in(gw, h).status_code == 200
        else:
            assert code(start(gw)[1]) == (503, "provider_unavailable")
    finally:
        h.stop()


def test_an_issuer_that_is_not_safe_is_not_configured(gateway, hostile):
    config, env = settings("http://accounts.test")
    gw = gateway(config=config, env=env, start=False)
    gw.prepare()
    gw.replicas[0].write_config()
    gw.replicas[0].process.start()
    assert gw.replicas[0].process.wait() != 0
    assert "oidc.google.issuer" in gw.replicas[0].process.output()
