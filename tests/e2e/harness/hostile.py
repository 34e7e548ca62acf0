"""An OpenID provider in a thread of the test, that does whatever the test says: what it lies about is set on the
object while it runs."""
import base64
import hashlib
import http.server
import json
import ssl
import threading
import time
import urllib.parse
import uuid

from jwcrypto import jwk, jwt

from .openid import CLIENT_ID, CLIENT_SECRET
from .server import Server


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw_token(header, claims, signature=b""):
    """A token put together by hand; header and claims as objects or as text."""
    parts = [p if isinstance(p, str) else json.dumps(p) for p in (header, claims)]
    return ".".join([*(b64u(p.encode()) for p in parts), b64u(signature)])


class Hostile:
    def __init__(self, certificate=None):
        self.key = self.new_key("one")
        self.published = [self.key]
        self.codes, self.requests = {}, []
        self.told = []              # secrets that went over the wire: verifiers, access tokens, ID tokens
        self.metadata = {}          # on top of the true one; None takes a member away
        self.claims = lambda c: c   # of ID tokens
        self.header = {}            # on top of the true one
        self.id_token = None        # (claims) → text, instead of signing
        self.response = lambda r: r  # of the token endpoint
        self.answer = None          # (handler) → None, instead of the token endpoint
        self.userinfo = {}
        self.person = {"sub": "ann", "email": "ann@example.test", "email_verified": True}
        self.let_go = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def json(self, body, status=200, headers=()):
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in (("content-type", "application/json"), ("content-length", len(data)), *headers):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self):
                outer.requests.append(self.path)
                if self.path == "/.well-known/openid-configuration":
                    self.json(outer.configuration())
                elif self.path == "/jwks":
                    keys = [k.export_public(as_dict=True) for k in outer.published]
                    self.json({"keys": [{**k, "use": "sig"} for k in keys]})
                elif self.path == "/userinfo":
                    self.json(outer.userinfo)
                else:
                    self.json({}, 404)

            def do_POST(self):
                outer.requests.append(self.path)
                form = self.rfile.read(int(self.headers["content-length"])).decode()
                if outer.answer:
                    outer.answer(self)
                else:
                    self.json(*outer.token(dict(urllib.parse.parse_qsl(form)), self.headers))

        self.server = Server(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.issuer = f"{'https' if certificate else 'http'}://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()

    @staticmethod
    def new_key(kid):
        return jwk.JWK.generate(kty="EC", crv="P-256", kid=kid, alg="ES256")

    def configuration(self):
        known = {"issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize",
                 "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/jwks",
                 "userinfo_endpoint": f"{self.issuer}/userinfo", "response_types_supported": ["code"],
                 "code_challenge_methods_supported": ["S256"], **self.metadata}
        return {k: v for k, v in known.items() if v is not None}

    def callback(self, url, **more):
        """What a browser would bring back from the authorization request: the callback's address."""
        q = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
        code = more.pop("code", None) or uuid.uuid4().hex
        self.codes.setdefault(code, q)
        return f"{q['redirect_uri']}?{urllib.parse.urlencode({'state': q['state'], 'code': code, **more})}"

    def token(self, form, headers):
        pair = ":".join(urllib.parse.quote_plus(p) for p in (CLIENT_ID, CLIENT_SECRET)).replace("+", "%20")
        self.told.append(form["code_verifier"])
        request = self.codes.get(form["code"])
        challenge = b64u(hashlib.sha256(form["code_verifier"].encode()).digest())
        if headers["authorization"] != "Basic " + base64.b64encode(pair.encode()).decode():
            return {"error": "invalid_client"}, 401
        if not request or request["redirect_uri"] != form["redirect_uri"]:
            return {"error": "invalid_grant"}, 400
        self.verifier_fits = challenge == request["code_challenge"]
        now = int(time.time())
        access = uuid.uuid4().hex
        self.told.append(access)
        claims = self.claims({"iss": self.issuer, "aud": CLIENT_ID, "nonce": request["nonce"], "iat": now,
                              "exp": now + 300, "at_hash": b64u(hashlib.sha256(access.encode()).digest()[:16]),
                              **self.person})
        return self.response({"access_token": access, "token_type": "Bearer", "expires_in": 300,
                              "id_token": self.sign(claims)}), 200

    def sign(self, claims):
        if self.id_token:
            return self.id_token(claims)
        token = jwt.JWT(header={"alg": "ES256", "kid": self.key.export_public(as_dict=True)["kid"], **self.header}, claims=claims)
        token.make_signed_token(self.key)
        self.told.append(token.serialize())
        return token.serialize()
