"""An issuer of tokens that is not the gateway: keys of every kind, tokens signed with them, and where the
keys are published: a file, or a server on loopback with discovery."""
import http.server
import json
import threading
import time
import uuid

from jwcrypto import jwk
from jwcrypto import jws as cjws

from . import ports
from .server import Server

KEYS = {"ES256": {"kty": "EC", "crv": "P-256"}, "RS256": {"kty": "RSA", "size": 2048},
        "PS256": {"kty": "RSA", "size": 2048}, "EdDSA": {"kty": "OKP", "crv": "Ed25519"}}


class Issuer:
    def __init__(self, directory, name="https://issuer.test", audience="gateway", algs=("ES256", "RS256")):
        self.name, self.audience, self.algs = name, audience, list(algs)
        self.path = directory / f"jwks-{uuid.uuid4()}.json"
        self.keys = {}
        for alg in algs:
            self.add_key(alg)

    def add_key(self, alg, kid=None):
        self.keys[alg] = jwk.JWK.generate(kid=kid or f"{alg}-{uuid.uuid4()}", alg=alg, use="sig", **KEYS[alg])
        self.publish()

    def jwks(self):
        return {"keys": [k.export_public(as_dict=True) for k in self.keys.values()]}

    def publish(self):
        self.path.write_text(json.dumps(self.jwks()))

    def config(self, **more):
        """One element of the configuration's `issuers`."""
        return {"issuer": self.name, "audience": self.audience, "jwks": str(self.path), "algs": self.algs, **more}

    def claims(self, subject="robot", **more):
        now = int(time.time())
        return {"iss": self.name, "aud": self.audience, "sub": subject, "iat": now, "exp": now + 300,
                "jti": str(uuid.uuid4()), **more}

    def sign(self, claims, alg=None, head=None, key=None):
        """claims: a dict, or the payload's text as it is."""
        alg = alg or self.algs[0]
        key = key or self.keys[alg]
        t = cjws.JWS(claims if isinstance(claims, str) else json.dumps(claims))
        head = {"alg": alg, "typ": "at+jwt", "kid": key.kid, **(head or {})}
        t.add_signature(key, alg=alg, protected=json.dumps({k: v for k, v in head.items() if v is not None}))
        return t.serialize(compact=True)

    def token(self, subject="robot", alg=None, head=None, **claims):
        """A good one, but for what is said; a claim that is None is left out."""
        return self.sign({k: v for k, v in self.claims(subject, **claims).items() if v is not None}, alg, head)


class ServedIssuer(Issuer):
    """Its name is its address; down() and up() as it pleases."""

    def __init__(self, directory, **kw):
        self.port = ports.free()[0]
        self.asked = []
        self.up()
        super().__init__(directory, name=f"http://127.0.0.1:{self.port}", **kw)

    def up(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                body = {"/.well-known/openid-configuration": outer.metadata, "/keys": outer.jwks}.get(self.path)
                data = json.dumps(body() if body else {}).encode()
                self.send_response(200 if body else 404)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass
        self.server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def down(self):
        self.server.shutdown()
        self.server.server_close()

    def metadata(self):
        return {"issuer": self.name, "jwks_uri": f"{self.name}/keys",
                "authorization_endpoint": f"{self.name}/auth", "token_endpoint": f"{self.name}/token",
                "response_types_supported": ["code"], "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"]}

    def config(self, **more):
        c = super().config(**more)
        if "jwks" not in more:
            del c["jwks"]  # by discovery
        return c
