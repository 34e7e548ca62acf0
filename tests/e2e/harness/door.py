"""A gateway's door: tokens of it taken apart and put together, credentials presented, refusals."""
import base64
import json
import time
import uuid

from jwcrypto import jws as cjws


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64u(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def parts(token):
    head, claims, sig = token.split(".")
    return json.loads(unb64u(head)), json.loads(unb64u(claims)), unb64u(sig)


def joined(head, claims, sig):
    text = [x if isinstance(x, str) else b64u(json.dumps(x).encode()) for x in (head, claims)]
    return ".".join([*text, b64u(sig)])


def signed(key, head, claims):
    t = cjws.JWS(json.dumps(claims))
    t.add_signature(key, alg=head["alg"], protected=json.dumps(head))
    return t.serialize(compact=True)


class Door:
    def __init__(self, gw):
        self.gw = gw
        tokens = gw.signin()
        self.good, self.refresh_token = tokens["access_token"], tokens["refresh_token"]

    def me(self, authorization=None, **kw):
        headers = {"authorization": authorization} if authorization is not None else {}
        return self.gw.call("GET", "/v1/me", headers=headers, **kw)

    def failures(self):
        text = self.gw.call("GET", "/metrics", listener="admin").text
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                   if line.startswith("gateway_auth_failures_total"))

    def service_account(self, *assignments, kind="api_key", **body):
        sa = self.gw.admin("POST", "/admin/service-accounts", self.good, {"name": f"sa-{uuid.uuid4()}"})
        for tenant, role in assignments:
            self.gw.admin("POST", "/admin/assignments", self.good,
                          {"principal": sa["id"], "tenant": tenant, "role": role})
        c = self.gw.admin("POST", f"/admin/service-accounts/{sa['id']}/credentials", self.good,
                          {"kind": kind, **body})
        return sa["id"], c


def before_its_end(use):
    """What use(stamp) gives, and the end that the stamp says, which is soon and has not come yet. Where that took
    too long, again with a later one."""
    for seconds in (2, 10, 50):
        end = time.time() + seconds
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(end)) + f".{int(end % 1 * 1000):03d}Z"
        try:
            used = use(stamp)
        except AssertionError:
            if time.time() < end:
                raise
        if time.time() < end:
            return used, end
    raise AssertionError("this machine is too slow for anything that ends")


def assert_refused(r):
    """401, the one envelope, and nothing in it that tells one reason from another."""
    assert r.status_code == 401, r.text
    body = r.json()
    body.pop("request_id")
    assert body == {"code": "unauthenticated", "error": "authentication is required or failed", "details": {}}
    assert r.headers["www-authenticate"] == "Bearer"
