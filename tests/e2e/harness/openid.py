"""A real OpenID provider (npm oidc-provider) as a process, and a client that does what a browser does: cookies
by host and path, redirects, forms."""
import html
import json
import os
import re
import urllib.parse

import requests
from jwcrypto import jwk

from . import ports
from .paths import ROOT, program
from .process import Process

CLIENT_ID, CLIENT_SECRET = "gateway client/1", "a secret: of 100% +entropy"
CALLBACK = "http://gateway.test/v1/auth/oidc/google/callback"
MODULES = os.path.join(ROOT, "build", "tools", "oidc", "node_modules")


def key(alg):
    kind = {"ES256": {"kty": "EC", "crv": "P-256"}, "EdDSA": {"kty": "OKP", "crv": "Ed25519"}}
    return jwk.JWK.generate(**kind.get(alg, {"kty": "RSA", "size": 2048}), alg=alg, use="sig", kid=f"{alg} key")


class OpenId:
    def __init__(self, directory, accounts, redirect_uri=CALLBACK, alg="RS256", auth_method="client_secret_basic",
                 in_id_token=True, port=None):
        assert os.path.isdir(MODULES), "the npm package is missing: run `make deps`"
        self.port = port or ports.free()[0]
        self.issuer = f"http://127.0.0.1:{self.port}"
        config = directory / "openid.json"
        config.write_text(json.dumps({
            "port": self.port, "modules": MODULES, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
            "redirect_uri": redirect_uri, "auth_method": auth_method, "alg": alg, "in_id_token": in_id_token,
            "keys": [key(alg).export(as_dict=True)], "accounts": accounts}))
        script = os.path.join(os.path.dirname(__file__), "openid.js")
        self.process = Process("openid", [program("node"), script, config], directory)

    def start(self):
        self.process.start()
        self.process.expect("^listening$")
        return self


def settings(issuer, **more):
    """The gateway's configuration, and its environment, for a provider."""
    return ({"oidc.google.issuer": issuer, "oidc.google.client_id": CLIENT_ID, **more},
            {"GATEWAYD_OIDC_GOOGLE_CLIENT_SECRET": CLIENT_SECRET})


class Browser:
    """Keeps cookies of several hosts; `hosts` maps an origin to the address that it is reached at."""

    def __init__(self, hosts=None):
        self.hosts = hosts or {}
        self.cookies = {}  # (host, path, name) → value

    def header(self, url):
        path = url.path or "/"
        return "; ".join(f"{n}={v}" for (h, p, n), v in self.cookies.items()
                         if h == url.netloc and (path == p or path.startswith(p.rstrip("/") + "/")))

    def keep(self, url, response):
        for line in response.raw.headers.getlist("set-cookie"):
            pair, *attributes = [a.strip() for a in line.split(";")]
            name, value = pair.split("=", 1)
            known = {a.split("=")[0].lower(): a.partition("=")[2] for a in attributes}
            at = (url.netloc, known.get("path", "/"), name)
            if known.get("max-age") == "0" or "1970" in known.get("expires", ""):
                self.cookies.pop(at, None)
            else:
                self.cookies[at] = value

    def request(self, method, url, **kw):
        """One request, without following redirects."""
        parts = urllib.parse.urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        headers = {**kw.pop("headers", {})}
        if cookie := self.header(parts):
            headers["cookie"] = cookie
        r = requests.request(method, self.hosts.get(origin, origin) + url[len(origin):], headers=headers,
                             allow_redirects=False, timeout=60, **kw)
        self.keep(parts, r)
        r.where = url
        return r

    def follow(self, r, until):
        """Follows redirects up to the first that leads to `until`: that address, or the last answer."""
        while 300 <= r.status_code < 400:
            url = urllib.parse.urljoin(r.where, r.headers["location"])
            if url.startswith(until):
                return url
            r = self.request("GET", url)
        return r

    def submit(self, page, until, **fields):
        action = html.unescape(re.search(r'<form[^>]* action="([^"]+)"', page.text).group(1))
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
        r = self.request("POST", urllib.parse.urljoin(page.where, action), data={**hidden, **fields})
        return self.follow(r, until)

    def sign_in(self, url, login, callback=CALLBACK):
        """From the authorization request to the callback's address, with the code in it."""
        page = self.follow(self.request("GET", url), callback)
        for _ in range(3):
            if isinstance(page, str):
                return page
            assert page.status_code == 200, page.text
            fields = {"login": login, "password": "any"} if 'name="login"' in page.text else {}
            page = self.submit(page, callback, **fields)
        assert isinstance(page, str), page.text
        return page
