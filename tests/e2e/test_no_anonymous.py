"""Whatever is configured, and however little of it: who shows no credential, or a bad one, gets nothing
but what is for all."""
import itertools
import json
import subprocess
import uuid

import pytest

from harness.door import Door, b64u
from harness.issuer import Issuer
from harness.paths import GATEWAYD, program


def operations():
    """(method, path, listeners, who) of every operation, as the program itself says."""
    out = subprocess.run([program(GATEWAYD), "--dump", "api"], capture_output=True, text=True, check=True).stdout
    names, *rows = (line.split("\t") for line in out.splitlines())
    for row in rows:
        op = dict(zip(names, row))
        yield op["method"], op["path"], op["listeners"].split(), op["who"]


def filled(path):
    """The path with something in the place of each parameter."""
    path = path.replace("*", "jobs/1")
    while "{" in path:
        path = path[:path.index("{")] + str(uuid.uuid4()) + path[path.index("}") + 1:]
    return path


PARTIAL = {
    "nothing": lambda d: {},
    "no issuers": lambda d: {"issuers": []},
    "an issuer alone": lambda d: {"issuers": [Issuer(d).config()], "auth.signup": "off"},
    "an issuer without keys": lambda d: {"issuers": [Issuer(d).config(jwks=str(d / "missing.json"))]},
    "an issuer with an empty file": lambda d: {"issuers": [Issuer(d).config(jwks=str(empty(d)))]},
    "an issuer that nobody answers for": lambda d: {"issuers": [Issuer(d).config(jwks="http://127.0.0.1:9/keys")]},
    "an issuer by discovery, down": lambda d: {"issuers": [{"issuer": "http://127.0.0.1:9", "audience": "gateway"}]},
    "an issuer that allows no algorithm": lambda d: {"issuers": [Issuer(d).config(algs=[])]},
    "Basic allowed": lambda d: {"auth.allow_basic_without_tls": True},
    "Basic and an issuer": lambda d: {"auth.allow_basic_without_tls": True, "issuers": [Issuer(d).config()]},
    "a provider that is down": lambda d: {"oidc.google.issuer": "http://127.0.0.1:9", "oidc.google.client_id": "x",
                                          "oidc.google.client_secret": "y"},
    "no keys to sign for long": lambda d: {"auth.access_ttl": "1s", "auth.key_rotation": "1s", "auth.key_lead": "0s"},
}


def empty(directory):
    path = directory / "empty.json"
    path.write_text("")
    return path


CREDENTIALS = [None, "Bearer", "Bearer x", "Bearer gwk_", "Bearer null", "Basic Og==", "Basic", "Negotiate x",
               "Bearer " + ".".join([b64u(b'{"alg":"none","typ":"at+jwt"}'), b64u(b"{}"), ""]),
               "Bearer " + ".".join([b64u(b'{"alg":"none","typ":"at+jwt"}'),
                                     b64u(json.dumps({"iss": "https://issuer.test", "aud": "gateway", "sub": "",
                                                      "exp": 9999999999}).encode()), ""])]


def assert_closed(gw):
    """Every operation that is not for all, on each of its listeners, without a credential; and a few of
    them with each credential that is none."""
    seen = 0
    for method, path, listeners, who in operations():
        if who == "all" or path.startswith(("/grpc.", "/aggregate.")):
            continue
        for listener in listeners:
            if listener == "grpc":
                continue
            body = {} if method in ("GET", "DELETE") else {"json": {}}
            if who == "service account":
                body = {"data": {"grant_type": "client_credentials"}}
            r = gw.call(method, filled(path), listener=listener, headers={"x-tenant-id": "acme"}, **body)
            assert r.status_code == 401, f"{method} {path} on {listener}: {r.status_code} {r.text}"
            seen += 1
    assert seen > 60
    for credential, (method, path, listener) in itertools.product(CREDENTIALS, (
            ("GET", "/v1/me", "http"), ("GET", "/admin/users", "admin"), ("POST", "/v1/query/orders", "http"),
            ("POST", "/v1/commands/order/1", "http"), ("GET", "/admin/keys", "admin"))):
        headers = {"x-tenant-id": "acme", **({"authorization": credential} if credential else {})}
        r = gw.call(method, path, listener=listener, headers=headers, **({} if method == "GET" else {"json": {}}))
        assert r.status_code == 401, f"{credential} on {path}: {r.status_code} {r.text}"


@pytest.mark.parametrize("name", PARTIAL)
def test_nothing_opens_to_nobody(gateway, tmp_path, name):
    gw = gateway(config=PARTIAL[name](tmp_path))
    assert_closed(gw)


def test_nor_does_tls_without_client_certificates(gateway, authority):
    cert, key = authority.issue("server", "DNS:localhost", "IP:127.0.0.1")
    gw = gateway(config={"tls.cert": str(cert), "tls.key": str(key)}, ca=authority.cert)
    assert_closed(gw)


def test_nor_do_certificates_that_no_account_lists(gateway, authority):
    """An authority says who somebody is, not that they may come in."""
    cert, key = authority.issue("server", "DNS:localhost", "IP:127.0.0.1")
    mine = authority.issue("stranger", "URI:spiffe://acme/stranger")
    gw = gateway(config={"tls.cert": str(cert), "tls.key": str(key), "tls.client_ca": str(authority.cert)}, ca=authority.cert)
    assert_closed(gw)
    r = gw.call("GET", "/v1/me", cert=tuple(map(str, mine)))
    assert r.status_code == 401, r.text
    door = Door(gw)
    door.service_account(kind="certificate", subject="spiffe://acme/stranger")
    assert gw.call("GET", "/v1/me", cert=tuple(map(str, mine))).status_code == 200


@pytest.mark.parametrize("issuers, said", [
    ([{"issuer": "https://a.test", "jwks": "x"}], "issuer and audience are required"),
    ([{"issuer": "https://a.test", "audience": "", "jwks": "x"}], "issuer and audience are required"),
    ([{"audience": "gateway", "jwks": "x"}], "issuer and audience are required"),
    ([{"issuer": "http://gateway.test", "audience": "gateway", "jwks": "x"}], "auth.issuer"),
    ([{"issuer": "https://a.test", "audience": "g", "jwks": "x"}, {"issuer": "https://a.test", "audience": "h"}], "twice"),
    ([{"issuer": "https://a.test", "audience": "g", "jwks": "http://a.test/keys"}], "https"),
    ([{"issuer": "http://a.test", "audience": "g"}], "https"),
    ([{"issuer": "https://a.test", "audience": "g", "algs": ["none"]}], "RS256"),
    ([{"issuer": "https://a.test", "audience": "g", "algs": ["HS256"]}], "RS256"),
    ("any", "list of maps"),
])
def test_half_an_issuer_is_refused_at_the_start(gateway, issuers, said):
    gw = gateway(config={"issuers": issuers}, start=False)
    gw.prepare()
    replica = gw.replicas[0]
    replica.write_config()
    replica.process.start()
    assert replica.process.wait() == 2
    assert said in replica.process.output()
