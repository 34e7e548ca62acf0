"""Signing in by the npm provider in a real browser: Chromium, headless. What the client in the other tests only
imitates is true here: the rules for cookies, redirects, cross-origin calls and fragments."""
import http.server
import json
import os
import shutil
import ssl
import threading
import urllib.parse

import pytest

from harness import ports
from harness.openid import OpenId, settings
from harness.wait import until

selenium = pytest.importorskip("selenium", reason="python3-selenium is not installed: run `make deps`")
from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import WebDriverException  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402

ACCOUNTS = {"ann": {"email": "ann@example.test", "email_verified": True, "name": "Ann Example"}}
START = """
    const done = arguments[arguments.length - 1];
    fetch(arguments[0] + "/v1/auth/oidc/google/start", {method: "POST", credentials: "include",
        headers: {"content-type": "application/json"}, body: JSON.stringify(arguments[1])})
      .then(r => r.json()).then(done, e => done({error: String(e)}));
"""
# an application on an origin of its own: begins, is returned to, picks the sign-in up
APP = b"""<!doctype html><title>app</title><pre id="out"></pre><script>
const gateway = new URLSearchParams(location.search).get("gateway") || sessionStorage.gateway;
const post = (path, body) => fetch(gateway + "/v1/auth/oidc/google/" + path, {method: "POST", credentials: "include",
    headers: {"content-type": "application/json"}, body: JSON.stringify(body)}).then(r => r.json());
async function go() {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (code) {
    const tokens = await post("finish", {code, finish_token: sessionStorage.finish_token});
    document.getElementById("out").textContent = JSON.stringify(tokens);
    return;
  }
  sessionStorage.gateway = gateway;
  const begun = await post("start", {return_to: location.origin + "/back"});
  sessionStorage.finish_token = begun.finish_token;
  location = begun.authorization_url;
}
go().catch(e => { document.getElementById("out").textContent = String(e); });
</script>"""


@pytest.fixture(scope="module")
def missing():
    for program in ("chromium", "chromedriver"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed: run `make deps`")


@pytest.fixture
def chromium(missing, tmp_path):
    """A factory: each call is another browser, with a profile of its own."""
    made = []

    def start():
        o = webdriver.ChromeOptions()
        o.binary_location = shutil.which("chromium")
        # the certificates are of the test's own authority, and tests may run as root and in containers
        for a in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                  "--ignore-certificate-errors", f"--user-data-dir={tmp_path}/profile{len(made)}"):
            o.add_argument(a)
        try:
            d = webdriver.Chrome(options=o, service=Service(shutil.which("chromedriver"), log_path=os.devnull))
        except WebDriverException as e:
            pytest.skip(f"Chromium does not start on this machine: {e.msg}")
        d.set_page_load_timeout(60)
        d.set_script_timeout(30)
        made.append(d)
        return d
    yield start
    for d in made:
        d.quit()


@pytest.fixture
def site(gateway, authority, tmp_path):
    """A gateway on https://localhost with the provider behind it, and an application on another port."""
    cert, key = authority.issue("localhost", "DNS:localhost", "IP:127.0.0.1")
    port, app_port = ports.free(2)
    app = serve_app(app_port, cert, key)
    issuer = f"https://localhost:{port}"
    p = OpenId(tmp_path, ACCOUNTS, redirect_uri=f"{issuer}/v1/auth/oidc/google/callback").start()
    config, env = settings(p.issuer, **{
        "listen.http": f"127.0.0.1:{port}", "auth.issuer": issuer, "auth.signup": "verify", "tls.cert": str(cert),
        "tls.key": str(key), "oidc.return_to": [f"https://localhost:{app_port}/back"],
        "cors.origins": [f"https://localhost:{app_port}"]})
    gw = gateway(config=config, env=env, ca=authority.cert, start=False)
    gw.prepare()
    gw.replicas[0].start()
    gw.origin, gw.provider, gw.app = issuer, p, f"https://localhost:{app_port}"
    yield gw
    app.shutdown()
    app.server_close()


def serve_app(port, cert, key):
    class Page(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(APP)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Page)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


def at_the_provider(d, gw, login="ann"):
    """Types the name, gives consent, as long as the provider asks."""
    until(lambda: d.current_url.startswith(gw.provider.issuer))
    while d.current_url.startswith(gw.provider.issuer):
        before = d.current_url
        names = d.find_elements(By.NAME, "login")
        if names:
            names[0].send_keys(login)
            d.find_element(By.NAME, "password").send_keys("any")
        d.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
        until(lambda: d.current_url != before)


def state_cookies(d):
    return [c for c in d.get_cookies() if c["name"].startswith("__Host-")]


def begin(d, gw):
    d.get(f"{gw.origin}/health")
    begun = d.execute_async_script(START, gw.origin, {})
    assert "authorization_url" in begun, begun
    return begun["authorization_url"]


def text(d):
    return d.find_element(By.TAG_NAME, "body").text


def me(gw, tokens):
    r = gw.call("GET", "/v1/me", token=tokens["access_token"])
    assert r.status_code == 200, r.text
    return r.json()


def test_a_person_signs_in(site, chromium):
    d = chromium()
    url = begin(d, site)
    [cookie] = state_cookies(d)
    assert cookie["secure"] and cookie["httpOnly"] and cookie["sameSite"] == "Lax"
    assert d.execute_script("return document.cookie") == ""
    d.get(url)
    at_the_provider(d, site)
    callback = d.current_url
    assert callback.startswith(f"{site.origin}/v1/auth/oidc/google/callback?")
    tokens = json.loads(text(d))
    assert me(site, tokens)["email"] == "ann@example.test"
    assert state_cookies(d) == []
    d.get(callback)  # reloaded: it was good once
    assert json.loads(text(d))["code"] == "oidc_state_invalid"
    d.get(begin(d, site))  # the provider still knows the person: no page of its own this time
    assert me(site, json.loads(text(d)))["id"] == tokens["user"]["id"]


def test_a_callback_in_another_browser(site, chromium):
    d, other = chromium(), chromium()
    begin(other, site)
    url = begin(d, site)
    q = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
    other.get(f"{site.origin}/v1/auth/oidc/google/callback?state={q['state']}&code=x&iss={site.provider.issuer}")
    assert json.loads(text(other))["code"] == "oidc_state_invalid"


def test_an_application_on_another_origin(site, chromium):
    d = chromium()
    d.get(f"{site.app}/?gateway={site.origin}")
    at_the_provider(d, site)
    out = until(lambda: d.find_element(By.ID, "out").text)
    tokens = json.loads(out)
    assert me(site, tokens)["email"] == "ann@example.test"
    assert d.current_url.startswith(f"{site.app}/back#code=")
