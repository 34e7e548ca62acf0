"""Our tokens in the hands of other implementations (PyJWT, jwcrypto, libjwt with OpenSSL), and theirs
in ours."""
import json
import os
import subprocess

import jwt as pyjwt
import pytest
from jwcrypto import jwk, jws
from jwcrypto import jwt as cjwt

from harness.paths import ROOT, VARIANT, program

JWS_TOOL = os.path.join(ROOT, "build", VARIANT, "jws-tool")
LIBJWT_VERIFY = os.path.join(ROOT, "build", VARIANT, "libjwt-verify")
ISSUER = "https://gateway.example"
KEYS = {
    "ES256": dict(kty="EC", crv="P-256"),
    "RS256": dict(kty="RSA", size=2048),
    "PS256": dict(kty="RSA", size=2048),
    "EdDSA": dict(kty="OKP", crv="Ed25519"),
}


def ours(*requests):
    """What our code answers to each request."""
    done = subprocess.run([program(JWS_TOOL)], input="".join(json.dumps(r) + "\n" for r in requests),
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def libjwt(tmp_path, alg, key, *tokens):
    """What libjwt makes of each token: its claims, or None. Version 1.10 takes no `typ` but JWT, so it
    is shown tokens without one."""
    pem = tmp_path / "public.pem"
    pem.write_bytes(key.export_to_pem())
    done = subprocess.run([program(LIBJWT_VERIFY), alg, pem], input="".join(t + "\n" for t in tokens),
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [None if line == "refused" else json.loads(line) for line in done.stdout.splitlines()]


def tampered(token):
    """The same token with one bit of its signature changed."""
    head, sig = token.rsplit(".", 1)
    return f"{head}.{'B' if sig[0] != 'B' else 'C'}{sig[1:]}"


def new_key(alg):
    key = jwk.JWK.generate(**KEYS[alg])
    members = key.export(as_dict=True)
    members["alg"] = alg
    return key, members


def test_access_token_is_taken_by_pyjwt():
    for answer in ours(*[{"op": "access", "audience": ["gateway"]}] * 20):
        key = pyjwt.PyJWKSet.from_dict(answer["jwks"])[pyjwt.get_unverified_header(answer["token"])["kid"]]
        claims = pyjwt.decode(answer["token"], key.key, algorithms=["ES256"], audience="gateway",
                              issuer=ISSUER, options={"require": ["iss", "aud", "sub", "iat", "exp"]})
        assert claims["exp"] - claims["iat"] == 300
        assert claims["amr"] == ["pwd", "otp", "mfa"]
        with pytest.raises(pyjwt.InvalidSignatureError):
            pyjwt.decode(tampered(answer["token"]), key.key, algorithms=["ES256"], audience="gateway")


def test_access_token_is_taken_by_jwcrypto():
    for answer in ours(*[{"op": "access", "audience": ["other", "gateway"]}] * 20):
        keys = jwk.JWKSet.from_json(json.dumps(answer["jwks"]))
        token = cjwt.JWT(jwt=answer["token"], key=keys, algs=["ES256"],
                         check_claims={"iss": ISSUER, "aud": "gateway", "exp": None, "jti": None})
        assert json.loads(token.header)["typ"] == "at+jwt"
        assert json.loads(token.claims)["aud"] == ["other", "gateway"]


def test_kid_is_the_thumbprint():
    answer, = ours({"op": "access", "audience": ["gateway"]})
    key = answer["jwks"]["keys"][0]
    assert jwk.JWK(**key).thumbprint() == key["kid"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"}


@pytest.mark.parametrize("alg", KEYS)
def test_what_we_sign_others_verify(alg, tmp_path):
    key, members = new_key(alg)
    header = json.dumps({"alg": alg})
    payloads = [json.dumps({"n": n}) for n in range(60)]
    tokens = [a["token"] for a in ours(*[{"op": "sign", "jwk": members, "header": header, "payload": p}
                                         for p in payloads])]
    public = pyjwt.PyJWK({k: v for k, v in members.items() if k not in ("d", "p", "q", "dp", "dq", "qi")})
    for token, payload in zip(tokens, payloads):
        s = jws.JWS()
        s.deserialize(token, key, alg)
        assert s.payload.decode() == payload
        assert pyjwt.decode(token, public.key, algorithms=[alg]) == json.loads(payload)
    if alg in ("ES256", "RS256"):  # all that libjwt 1.10 knows
        assert libjwt(tmp_path, alg, key, *tokens) == [json.loads(p) for p in payloads]
        assert libjwt(tmp_path, alg, key, *map(tampered, tokens)) == [None] * len(tokens)


@pytest.mark.parametrize("alg", KEYS)
def test_what_others_sign_we_verify(alg):
    key, members = new_key(alg)
    public = {**key.export_public(as_dict=True), "alg": alg}
    payloads = [json.dumps({"n": n, "text": "ä" * n}) for n in range(30)]
    tokens = []
    for payload in payloads:
        s = jws.JWS(payload)
        s.add_signature(key, alg, json.dumps({"alg": alg, "typ": "JWT", "kid": key.thumbprint()}))
        tokens.append(s.serialize(compact=True))
        tokens.append(pyjwt.encode(json.loads(payload), pyjwt.PyJWK(members).key, algorithm=alg))
    answers = ours(*[{"op": "verify", "jwk": public, "token": t} for t in tokens])
    assert [json.loads(a["payload"]) for a in answers] == [json.loads(p) for p in payloads for _ in "12"]
    answers = ours(*[{"op": "verify", "jwk": public, "token": tampered(t)} for t in tokens])
    assert [a.get("error") for a in answers] == ["unauthenticated"] * len(tokens)


def test_symmetric_and_unsigned_tokens_of_others_are_refused():
    key, members = new_key("RS256")
    public = key.export_public(as_dict=True)
    pem = key.export_to_pem()
    secret = jwk.JWK(kty="oct", k=jwk.base64url_encode(pem))
    s = jws.JWS("{}")
    s.add_signature(secret, "HS256", json.dumps({"alg": "HS256"}))
    tokens = [s.serialize(compact=True), pyjwt.encode({}, None, algorithm="none")]
    for jwk_members in (public, {**public, "alg": "RS256"}, {**public, "alg": "PS256"}):
        answers = ours(*[{"op": "verify", "jwk": jwk_members, "token": t} for t in tokens])
        assert [a.get("error") for a in answers] == ["unauthenticated"] * 2
    answer, = ours({"op": "verify", "jwk": secret.export(as_dict=True), "token": tokens[0]})
    assert answer["error"] == "invalid_field"


def test_every_salt_length_but_the_hashs_is_refused():
    """RFC 7518, 3.5: the salt is as long as the hash."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding
    key, _ = new_key("PS256")
    private = key.get_op_key("sign")
    data = f"{jwk.base64url_encode(json.dumps({'alg': 'PS256'}))}.{jwk.base64url_encode('{}')}"
    public = {**key.export_public(as_dict=True), "alg": "PS256"}
    for salt in (0, 16, 31, 32, 33, 64):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
        signature = private.sign(data.encode(), pss, hashes.SHA256())
        answer, = ours({"op": "verify", "jwk": public, "token": f"{data}.{jwk.base64url_encode(signature)}"})
        assert ("payload" in answer) == (salt == 32), salt
