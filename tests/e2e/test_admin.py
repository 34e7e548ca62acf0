"""The admin API: who may do what to whom, etags, idempotency, lists, and that revocations hold."""
import concurrent.futures
import hashlib
import uuid

import pytest

from harness.gateway import wait_for

PASSWORD = "seven purple otters juggle"


class Admin:
    """A gateway and the tokens of people in it."""

    def __init__(self, gw):
        self.gw = gw
        self.root = gw.signin()["access_token"]

    def call(self, method, path, token=None, body=None, **kw):
        return self.gw.call(method, path, token=token or self.root, listener="admin", json=body, **kw)

    def ok(self, method, path, token=None, body=None, **kw):
        r = self.call(method, path, token, body, **kw)
        assert r.status_code in (200, 201, 204), f"{method} {path}: {r.status_code} {r.text}"
        return r.json() if r.content else None

    def tenant(self, tenant):
        return self.ok("POST", "/admin/tenants", body={"id": tenant, "name": tenant})

    def user(self, email, *assignments, token=None):
        """A user with (tenant, role) pairs."""
        u = self.ok("POST", "/admin/users", token, {"email": email, "password": PASSWORD})
        for tenant, role in assignments:
            self.assign(u["id"], tenant, role, token)
        return u["id"]

    def assign(self, principal, tenant, role, token=None):
        return self.ok("POST", "/admin/assignments", token,
                       {"principal": principal, "tenant": tenant, "role": role})

    def token(self, email):
        return self.gw.signin(email, PASSWORD)["access_token"]


@pytest.fixture
def admin(gateway):
    return Admin(gateway())


@pytest.fixture
def two(admin):
    """Tenants acme and other, each with an administrator and a member."""
    for t in ("acme", "other"):
        admin.tenant(t)
        setattr(admin, f"{t}_admin_id", admin.user(f"admin@{t}.test", (t, "tenant-admin")))
        setattr(admin, f"{t}_user", admin.user(f"user@{t}.test", (t, "tenant-member")))
        setattr(admin, t, admin.token(f"admin@{t}.test"))
    return admin


def code(r):
    return r.status_code, r.json()["code"]


# ---- tenants, etags, idempotency, pages --------------------------------------------------------

def test_tenant_life(admin):
    t = admin.tenant("acme")
    assert t["id"] == "acme" and t["etag"]
    assert code(admin.call("POST", "/admin/tenants", body={"id": "acme"})) == (409, "conflict")
    assert code(admin.call("POST", "/admin/tenants", body={"id": "Acme"})) == (400, "invalid_field")
    r = admin.call("GET", "/admin/tenants/acme")
    assert r.headers["etag"] == f'"{t["etag"]}"'
    r = admin.call("PATCH", "/admin/tenants/acme", body={"name": "Acme Inc"}, headers={"if-match": r.headers["etag"]})
    assert r.status_code == 200 and r.json()["name"] == "Acme Inc" and r.json()["etag"] != t["etag"]
    stale = {"if-match": f'"{t["etag"]}"'}
    assert code(admin.call("PATCH", "/admin/tenants/acme", body={"name": "x"}, headers=stale)) == \
        (412, "precondition_failed")
    assert code(admin.call("DELETE", "/admin/tenants/acme", headers=stale)) == (412, "precondition_failed")
    assert admin.call("DELETE", "/admin/tenants/acme").status_code == 204
    assert code(admin.call("GET", "/admin/tenants/acme")) == (404, "not_found")


def test_idempotency_key(admin):
    key = {"idempotency-key": str(uuid.uuid4())}
    a = admin.call("POST", "/admin/users", body={"email": "a@x.test"}, headers=key)
    b = admin.call("POST", "/admin/users", body={"email": "a@x.test"}, headers=key)
    assert a.status_code == b.status_code == 201 and a.json() == b.json()
    assert code(admin.call("POST", "/admin/users", body={"email": "b@x.test"}, headers=key)) == \
        (409, "idempotency_conflict")
    assert code(admin.call("POST", "/admin/tenants", body={"email": "a@x.test"}, headers=key)) == \
        (409, "idempotency_conflict")
    # the secret of a credential comes again, and is nowhere in the store
    sa = admin.ok("POST", "/admin/service-accounts", body={"name": "ci"})["id"]
    key = {"idempotency-key": "credential-1"}
    made = [admin.ok("POST", f"/admin/service-accounts/{sa}/credentials", body={"kind": "api_key"}, headers=key)
            for _ in range(2)]
    assert made[0] == made[1] and made[0]["secret"].startswith("gwk_")
    assert len(admin.ok("GET", f"/admin/service-accounts/{sa}/credentials")["items"]) == 1
    for f in admin.gw.directory.glob("gateway.db*"):
        assert made[0]["secret"].encode() not in f.read_bytes()


def test_what_is_kept_of_a_request_with_a_key_is_no_short_cut_to_its_password(admin):
    """A plain hash of the body would be guessed a million times faster than the one of the password."""
    body = b'{"email":"a@x.test","password":"plenty of salt in the sea"}'
    r = admin.gw.call("POST", "/admin/users", token=admin.root, listener="admin", data=body,
                      headers={"idempotency-key": "k", "content-type": "application/json"})
    assert r.status_code == 201, r.text
    admin.gw.stop()
    for f in admin.gw.directory.glob("gateway.db*"):
        assert hashlib.sha256(body).digest() not in f.read_bytes()


@pytest.mark.parametrize("store, replicas", [("sqlite", 1), ("rqlite", 2)])
def test_one_of_many_with_the_same_key_is_done(gateway, store, replicas):
    admin = Admin(gateway(store=store, replicas=replicas))

    def create(i):
        return admin.call("POST", "/admin/tenants", body={"id": "acme"}, headers={"idempotency-key": "once"},
                          replica=i % replicas)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(create, range(16)))
    assert [a.status_code for a in answers] == [201] * 16
    assert len({a.text for a in answers}) == 1


def test_pages(admin):
    ids = [admin.user(f"u{i}@x.test") for i in range(7)]
    seen, token = [], ""
    while token is not None:
        page = admin.ok("GET", "/admin/users?page_size=3" + (f"&page_token={token}" if token else ""))
        assert len(page["items"]) <= 3
        seen += [u["id"] for u in page["items"]]
        token = page["next_page_token"]
    assert seen[1:] == ids and len(set(seen)) == 8
    for bad in ("page_size=0", "page_size=501", "page_size=x", "page_token=!", "page_token=AAAA"):
        assert code(admin.call("GET", f"/admin/users?{bad}")) == (400, "invalid_parameter")
    assert code(admin.call("GET", "/admin/users?nope=1")) == (400, "unknown_parameter")


@pytest.mark.parametrize("noun", ["tenants", "roles", "service-accounts", "credentials", "assignments"])
def test_every_list_goes_by_the_page(admin, noun):
    make = {
        "tenants": ("/admin/tenants", lambda i: {"id": f"t{i}"}),
        "roles": ("/admin/roles", lambda i: {"id": f"r{i}", "rights": []}),
        "service-accounts": ("/admin/service-accounts", lambda i: {"name": f"s{i}"}),
        "assignments": ("/admin/assignments", lambda i: {"principal": admin.user(f"a{i}@x.test"), "tenant": "*",
                                                         "role": "tenant-member"})}
    if noun == "credentials":
        sa = admin.ok("POST", "/admin/service-accounts", body={"name": "ci"})["id"]
        make[noun] = (f"/admin/service-accounts/{sa}/credentials", lambda i: {"kind": "secret"})
    path, body = make[noun]
    for i in range(5):
        admin.ok("POST", path, body=body(i))
    whole = [x["id"] for x in admin.ok("GET", path)["items"]]
    assert len(whole) >= 5 and whole == sorted(whole)
    seen, token = [], ""
    while token is not None:
        page = admin.ok("GET", path + "?page_size=2" + (f"&page_token={token}" if token else ""))
        assert 0 < len(page["items"]) <= 2
        seen += [x["id"] for x in page["items"]]
        token = page["next_page_token"]
    assert seen == whole
    assert code(admin.call("GET", f"{path}?page_token=!")) == (400, "invalid_parameter")


def test_filters(two):
    emails = lambda q: {u["email"] for u in two.ok("GET", f"/admin/users?{q}")["items"]}  # noqa: E731
    assert emails("tenant=acme") == {"admin@acme.test", "user@acme.test"}
    assert emails("email=USER@acme.test") == {"user@acme.test"}
    assert emails("email=user@acme.test&tenant=other") == set()
    two.ok("PATCH", f"/admin/users/{two.acme_user}", body={"disabled": True})
    assert emails("disabled=true") == {"user@acme.test"}
    roles = {a["role"] for a in two.ok("GET", f"/admin/assignments?principal={two.acme_user}")["items"]}
    assert roles == {"tenant-member"}
    assert len(two.ok("GET", "/admin/assignments?tenant=acme&role=tenant-admin")["items"]) == 1


# ---- tenants do not reach into each other -------------------------------------------------------

def test_a_tenant_admin_sees_its_own(two):
    assert two.call("GET", "/admin/users?tenant=acme", two.acme).status_code == 200
    for path in ("/admin/users", "/admin/users?tenant=other", "/admin/tenants", "/admin/tenants/other",
                 "/admin/assignments", "/admin/roles", "/admin/service-accounts?tenant=other",
                 f"/admin/users/{two.other_user}", "/admin/status", "/admin/keys", "/admin/routing"):
        assert code(two.call("GET", path, two.acme)) == (403, "forbidden"), path
    assert two.call("GET", "/admin/tenants/acme", two.acme).status_code == 200
    assert two.call("GET", f"/admin/users/{two.acme_user}", two.acme).status_code == 200


def test_a_tenant_admin_manages_its_own(two):
    new = two.user("new@acme.test", ("acme", "tenant-member"), token=two.acme)
    two.ok("PATCH", f"/admin/users/{new}", two.acme, {"display_name": "New"})
    two.ok("PUT", f"/admin/users/{new}/password", two.acme, {"password": PASSWORD + "!"})
    two.ok("DELETE", f"/admin/users/{new}/sessions", two.acme)
    two.ok("DELETE", f"/admin/users/{new}", two.acme)


@pytest.mark.parametrize("method, path, body", [
    ("PATCH", "/admin/users/{}", {"disabled": True}),
    ("DELETE", "/admin/users/{}", None),
    ("PUT", "/admin/users/{}/password", {"password": "take over 123 zebras"}),
    ("POST", "/admin/users/{}/password", {"password": "take over 123 zebras"}),
    ("DELETE", "/admin/users/{}/sessions", None),
])
def test_no_takeover(two, method, path, body):
    """Not of users of another tenant, of shared ones, of platform admins that are also members, of
    those without any tenant."""
    shared = two.user("shared@x.test", ("acme", "tenant-member"), ("other", "tenant-member"))
    chief = two.user("chief@x.test", ("acme", "tenant-member"), ("*", "tenant-member"))
    nobody = two.user("nobody@x.test")
    for victim in (two.other_user, shared, chief, nobody):
        assert code(two.call(method, path.format(victim), two.acme, body)) == (403, "forbidden")
    assert two.call("GET", f"/admin/users/{shared}", two.acme).status_code == 200


def test_no_taking_over_of_those_who_may_more(two):
    """In the same tenant, but with a right that its administrator does not hold."""
    two.ok("POST", "/admin/roles", body={"id": "operator", "rights": [{"right": "runner.admin"}]})
    two.assign(two.acme_user, "acme", "operator")
    path = f"/admin/users/{two.acme_user}"
    for method, path, body in (("PUT", f"{path}/password", {"password": "take over 123 zebras"}),
                               ("PATCH", path, {"email": "mine@acme.test"})):
        assert code(two.call(method, path, two.acme, body)) == (403, "forbidden")
        two.ok(method, path, body=body)
    two.ok("PATCH", f"/admin/users/{two.acme_user}", two.acme, {"disabled": True})


def test_no_borrowing_of_service_accounts(two):
    sa = two.ok("POST", "/admin/service-accounts", two.acme, {"name": "ci", "tenant": "acme"})["id"]
    path = f"/admin/service-accounts/{sa}"
    made = two.ok("POST", f"{path}/credentials", two.acme, {"kind": "api_key"})
    two.assign(sa, "*", "platform-admin")
    for method, p, body in (("POST", f"{path}/credentials", {"kind": "api_key"}), ("PATCH", path, {"name": "x"}),
                            ("DELETE", path, None), ("DELETE", f"{path}/credentials/{made['id']}", None)):
        assert code(two.call(method, p, two.acme, body)) == (403, "forbidden")
    assert two.call("GET", path, two.acme).status_code == 200
    two.ok("POST", f"{path}/credentials", body={"kind": "api_key"})


def test_no_taking_in_of_strangers(two):
    nobody = two.user("nobody@x.test")
    for victim in (nobody, two.other_user):
        r = two.call("POST", "/admin/assignments", two.acme,
                     {"principal": victim, "tenant": "acme", "role": "tenant-member"})
        assert code(r) == (403, "forbidden")


def test_nobody_grants_what_they_do_not_hold(two):
    me = {"principal": two.acme_admin_id}
    for body in ({"tenant": "acme", "role": "platform-admin"}, {"tenant": "*", "role": "tenant-admin"},
                 {"tenant": "other", "role": "tenant-admin"}):
        assert code(two.call("POST", "/admin/assignments", two.acme, {**me, **body})) == (403, "forbidden")
    for rights in ([{"right": "routing.write"}], [{"right": "*"}], [{"right": "iam.*"}, {"right": "keys.write"}]):
        r = two.call("POST", "/admin/roles", two.acme, {"id": "sly", "tenant": "acme", "rights": rights})
        assert code(r) == (403, "forbidden")
    two.ok("POST", "/admin/roles", two.acme, {"id": "clerk", "tenant": "acme", "rights": [{"right": "iam.read"}]})
    r = two.call("PATCH", "/admin/roles/clerk", two.acme, {"rights": [{"right": "routing.write"}]})
    assert code(r) == (403, "forbidden")
    r = two.call("POST", "/admin/roles", two.acme, {"id": "wide", "rights": [{"right": "iam.read"}]})
    assert code(r) == (403, "forbidden")
    two.assign(two.acme_user, "acme", "clerk", two.acme)
    r = two.call("POST", "/admin/assignments", body={"principal": two.other_user, "tenant": "other", "role": "clerk"})
    assert code(r) == (400, "invalid_field")


def test_roles(two):
    assert code(two.call("PATCH", "/admin/roles/tenant-admin", body={"name": "x"})) == (409, "built_in")
    assert code(two.call("DELETE", "/admin/roles/platform-admin")) == (409, "built_in")
    assert code(two.call("POST", "/admin/roles", body={"id": "tenant-admin", "rights": []})) == (409, "conflict")
    r = two.call("POST", "/admin/roles", body={"id": "x", "rights": [{"right": "iam.read"}, {"right": "fly"}]})
    assert code(r) == (400, "invalid_field") and r.json()["details"]["field"] == "rights[1].right"
    role = two.ok("POST", "/admin/roles", body={
        "id": "clerk", "name": "Clerk", "tenant": "acme",
        "rights": [{"right": "command.submit", "resource": "order*"}]})
    assert role["rights"] == [{"right": "command.submit", "resource": "order*"}] and not role["built_in"]
    assert two.ok("GET", "/admin/roles/clerk") == role
    two.assign(two.acme_user, "acme", "clerk")
    assert code(two.call("DELETE", "/admin/roles/clerk")) == (409, "conflict")
    ids = [r["id"] for r in two.ok("GET", "/admin/roles?tenant=acme", two.acme)["items"]]
    assert ids == ["clerk", "platform-admin", "tenant-admin", "tenant-member"]
    assert "clerk" not in [r["id"] for r in two.ok("GET", "/admin/roles?tenant=other", two.other)["items"]]
    can = two.gw.call("GET", "/v1/me/can?right=command.submit&resource=orders", token=two.token("user@acme.test"),
                      tenant="acme").json()
    assert can["allowed"] is True


# ---- revocation holds when the call returns -----------------------------------------------------

def test_the_last_platform_admin_stays(admin):
    me = admin.gw.call("GET", "/v1/me", token=admin.root).json()["id"]
    for method, path, body in (("PATCH", f"/admin/users/{me}", {"disabled": True}),
                               ("DELETE", f"/admin/users/{me}", None)):
        assert code(admin.call(method, path, body=body)) == (409, "last_admin")
    own = admin.ok("GET", f"/admin/assignments?principal={me}")["items"][0]["id"]
    assert code(admin.call("DELETE", f"/admin/assignments/{own}")) == (409, "last_admin")
    second = admin.user("second@x.test", ("*", "platform-admin"))
    admin.ok("DELETE", f"/admin/assignments/{own}")
    assert code(admin.call("GET", "/admin/users")) == (403, "forbidden")
    t = admin.token("second@x.test")
    assert code(admin.call("DELETE", f"/admin/users/{second}", t)) == (409, "last_admin")


@pytest.mark.parametrize("how", ["disable", "delete", "password", "sessions"])
def test_a_user_is_out_at_once(two, how):
    t = two.gw.signin("user@acme.test", PASSWORD)
    assert two.gw.call("GET", "/v1/me", token=t["access_token"]).status_code == 200
    path = f"/admin/users/{two.acme_user}"
    if how == "disable":
        assert two.ok("PATCH", path, body={"disabled": True})["disabled"] is True
    elif how == "delete":
        two.ok("DELETE", path)
    elif how == "password":
        two.ok("PUT", f"{path}/password", body={"password": "another fine phrase 77"})
    else:
        two.ok("DELETE", f"{path}/sessions")
    assert two.gw.call("GET", "/v1/me", token=t["access_token"]).status_code == 401
    r = two.gw.call("POST", "/v1/auth/refresh", json={"refresh_token": t["refresh_token"]})
    assert code(r) == (401, "refresh_token_invalid")


def test_a_role_is_gone_at_once(two):
    t = two.token("user@acme.test")
    can = lambda: two.gw.call("GET", "/v1/me/can?right=query.execute", token=t, tenant="acme").json()["allowed"]  # noqa: E731
    assert can() is True
    a = two.ok("GET", f"/admin/assignments?principal={two.acme_user}")["items"][0]
    two.ok("DELETE", f"/admin/assignments/{a['id']}")
    assert can() is False
    assert code(two.call("DELETE", f"/admin/assignments/{a['id']}")) == (404, "not_found")


def test_deleting_a_tenant_takes_its_assignments(two):
    t = two.token("user@acme.test")
    two.ok("DELETE", "/admin/tenants/acme")
    assert two.gw.call("GET", "/v1/me", token=t).json()["tenants"] == []


# ---- service accounts, keys, explain ------------------------------------------------------------

def test_service_account_life(two):
    sa = two.ok("POST", "/admin/service-accounts", two.acme, {"name": "ci", "tenant": "acme"})
    assert code(two.call("POST", "/admin/service-accounts", two.acme, {"name": "ci", "tenant": "acme"})) == \
        (409, "conflict")
    assert code(two.call("POST", "/admin/service-accounts", two.acme, {"name": "ci", "tenant": "other"})) == \
        (403, "forbidden")
    path = f"/admin/service-accounts/{sa['id']}"
    assert code(two.call("GET", path, two.other)) == (403, "forbidden")
    two.assign(sa["id"], "acme", "tenant-member", two.acme)
    secret = two.ok("POST", f"{path}/credentials", two.acme, {"kind": "secret"})
    assert secret["secret"]
    cert = two.ok("POST", f"{path}/credentials", two.acme, {"kind": "certificate", "subject": "CN=ci"})
    assert "secret" not in cert and cert["subject"] == "CN=ci"
    for body in ({"kind": "secret", "subject": "x"}, {"kind": "certificate"}, {"kind": "other"},
                 {"kind": "secret", "expires_at": "2001-01-01T00:00:00Z"}):
        assert code(two.call("POST", f"{path}/credentials", two.acme, body)) == (400, "invalid_field")
    listed = two.ok("GET", f"{path}/credentials", two.acme)["items"]
    assert [c["kind"] for c in listed] == ["secret", "certificate"] and "secret" not in listed[0]
    two.ok("DELETE", f"{path}/credentials/{secret['id']}", two.acme)
    assert code(two.call("DELETE", f"{path}/credentials/{secret['id']}", two.acme)) == (404, "not_found")
    [x] = [x for x in two.ok("GET", "/admin/audit?action=credentials.delete")["items"] if x["outcome"] == "ok"]
    assert x["target"] == x["before"]["id"] == secret["id"] and x["before"]["kind"] == "secret" and x["after"] is None
    assert two.ok("PATCH", path, two.acme, {"disabled": True})["disabled"] is True
    two.ok("DELETE", path, two.acme)
    assert code(two.call("GET", path)) == (404, "not_found")


def test_keys_rotate(admin):
    old = admin.ok("GET", "/admin/keys")["items"]
    token = admin.root
    active = admin.ok("POST", "/admin/keys/rotate")["kid"]
    keys = {k["kid"]: k["state"] for k in admin.ok("GET", "/admin/keys")["items"]}
    assert keys[active] == "active" and sorted(keys.values()) == ["active", "next", "retired"]
    assert {k["kid"]: k["state"] for k in old}[active] == "next"
    assert admin.gw.call("GET", "/v1/me", token=token).status_code == 200  # the old key still verifies
    assert len(admin.gw.call("GET", "/.well-known/jwks.json").json()["keys"]) == 3
    assert admin.gw.call("GET", "/v1/me", token=admin.gw.signin()["access_token"]).status_code == 200


def test_explain(two):
    q = f"/admin/authz/explain?principal={two.acme_user}&tenant=acme&right="
    yes = two.ok("GET", q + "command.submit&resource=order", two.acme)
    assert yes["allowed"] is True and yes["role"] == "tenant-member"
    no = two.ok("GET", q + "iam.write", two.acme)
    assert no["allowed"] is False and no["role"] is None and no["reason"]
    assert code(two.call("GET", q.replace("acme&", "other&") + "iam.write", two.acme)) == (403, "forbidden")


def test_explain_tells_of_nobody_that_the_caller_may_not_read(two):
    """Least of all whether an account is disabled: to a stranger it is as if there were none."""
    def explain(principal, token):
        r = two.call("GET", f"/admin/authz/explain?principal={principal}&tenant=acme&right=command.submit", token)
        return r.status_code, {k: v for k, v in r.json().items() if k != "request_id"}
    mine = two.ok("POST", "/admin/service-accounts", two.acme, {"name": "mine", "tenant": "acme"})["id"]
    theirs = two.ok("POST", "/admin/service-accounts", two.other, {"name": "theirs", "tenant": "other"})["id"]
    guest = two.user("guest@other.test", ("other", "tenant-member"), ("acme", "tenant-member"))
    nobody = explain(uuid.uuid4(), two.acme)
    assert nobody[0] == 404 and nobody[1]["code"] == "not_found"
    two.ok("PATCH", f"/admin/users/{two.other_user}", body={"disabled": True})
    root = two.gw.call("GET", "/v1/me", token=two.root).json()["id"]
    for hidden in two.other_user, two.other_admin_id, two.user("loose@other.test"), theirs, root:
        assert explain(hidden, two.acme) == nobody
        assert explain(hidden, two.root)[0] == 200
    assert explain(two.other_user, two.root)[1]["disabled"] is True
    for seen, allowed in (two.acme_user, True), (two.acme_admin_id, True), (guest, True), (mine, False):
        status, body = explain(seen, two.acme)
        assert (status, body["allowed"], body["disabled"]) == (200, allowed, False)


def test_status_and_openapi(admin):
    s = admin.ok("GET", "/admin/status")
    assert s["status"] == "ok" and s["store"] == "sqlite"
    doc = admin.ok("GET", "/admin/openapi.json")
    assert doc["openapi"].startswith("3.") and "/admin/users/{id}" in doc["paths"]
    assert set(s) == set(doc["components"]["schemas"]["SystemStatus"]["properties"])


def test_replies_are_as_openapi_says(two):
    schemas = two.ok("GET", "/admin/openapi.json")["components"]["schemas"]

    def agree(value, schema):
        props, required = schema["properties"], set(schema["required"])
        assert required <= set(value) <= set(props), (value, schema)
        for k, v in value.items():
            ref = props[k].get("$ref") or props[k].get("items", {}).get("$ref")
            for one in (v if isinstance(v, list) else [v]) if ref else []:
                agree(one, schemas[ref.rsplit("/", 1)[1]])
    for path, name in (("/admin/tenants", "TenantList"), ("/admin/users", "UserList"), ("/admin/roles", "RoleList"),
                       ("/admin/assignments", "AssignmentList"), ("/admin/rights", "RightList"),
                       ("/admin/keys", "KeyList"), ("/admin/status", "SystemStatus"),
                       ("/v1/me", "Me"), ("/v1/auth/sessions", "SessionList"),
                       ("/v1/me/can?right=iam.read", "Can")):
        agree(two.ok("GET", path), schemas[name])


def test_nobody_keeps_what_is_said_to_one(two):
    """Neither answers nor refusals are for a cache; only the keys that tokens are verified with are."""
    paths = [p for p, methods in two.ok("GET", "/admin/openapi.json")["paths"].items()
             if "get" in methods and "{" not in p and p.startswith(("/v1/", "/admin/")) and "/runner/" not in p]
    assert {"/v1/me", "/v1/auth/sessions", "/admin/users", "/admin/audit", "/admin/openapi.json"} <= set(paths)
    for path in paths:
        for token in (two.root, two.acme, None):
            r = two.gw.call("GET", path, listener="admin", token=token)
            assert r.raw.headers.getlist("cache-control") == ["no-store"], (path, r.status_code)
    assert two.call("HEAD", "/admin/users").headers["cache-control"] == "no-store"
    made = two.call("POST", "/admin/tenants", body={"id": "new", "name": "new"})
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    assert two.gw.call("GET", "/.well-known/jwks.json").headers["cache-control"] == "public, max-age=60"


# ---- routing ------------------------------------------------------------------------------------

DOC = {"revision": 1, "projection_placement": {"acme": "p1"}, "projection_shards": {"p1": ["http://127.0.0.1:1"]}}


def test_routing_life(admin):
    assert admin.ok("GET", "/admin/routing")["revision"] == 0
    admin.ok("PUT", "/admin/routing", body=DOC)
    r = admin.call("PUT", "/admin/routing", body=DOC)
    assert code(r) == (409, "revision_conflict") and r.json()["details"]["current"] == 1
    got = admin.call("GET", "/admin/routing")
    assert got.json()["projection_placement"] == {"acme": "p1"} and got.headers["etag"] == '"v1"'
    where = admin.ok("GET", "/admin/routing/resolve?tenant=acme&kind=projection")
    assert where["shard"] == "p1" and where["endpoints"][0]["url"] == "http://127.0.0.1:1"
    assert code(admin.call("GET", "/admin/routing/resolve?tenant=acme&kind=runner")) == (404, "not_found")
    bad = {"revision": 2, "projection_placement": {"acme": "p9"}, "projection_shards": {"p1": ["ftp://x"]}}
    r = admin.call("PUT", "/admin/routing", body=bad)
    assert code(r) == (422, "routing_invalid") and len(r.json()["details"]["faults"]) == 2
    patch = {"projection_placement": {"acme": None, "beta": "p1"}}
    r = admin.call("PUT", "/admin/routing", body=patch,
                   headers={"content-type": "application/merge-patch+json", "if-match": '"v1"'})
    assert r.status_code == 200 and r.json()["revision"] == 2
    assert r.json()["projection_placement"] == {"beta": "p1"}
    diff = admin.ok("GET", "/admin/routing/diff?from=1&to=2")
    assert [(c["op"], c["path"]) for c in diff["changes"]] == [
        ("remove", "/projection_placement/acme"), ("add", "/projection_placement/beta")]
    back = admin.ok("POST", "/admin/routing/rollback", body={"revision": 1})
    assert back["revision"] == 3 and back["projection_placement"] == {"acme": "p1"}
    revisions = admin.ok("GET", "/admin/routing/revisions?page_size=2")
    assert [r["revision"] for r in revisions["items"]] == [3, 2]
    assert "revision 1" in revisions["items"][0]["note"]
    rest = admin.ok("GET", f"/admin/routing/revisions?page_token={revisions['next_page_token']}")
    assert [r["revision"] for r in rest["items"]] == [1] and rest["next_page_token"] is None
    assert admin.ok("GET", "/admin/routing/revisions/1")["document"] == \
        {**DOC, **{k: v for k, v in admin.ok("GET", "/admin/routing/revisions/1")["document"].items() if k not in DOC}}
    assert code(admin.call("GET", "/admin/routing/revisions/9")) == (404, "not_found")


def test_of_many_routing_writers_one_wins(admin):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: admin.call("PUT", "/admin/routing", body=DOC).status_code, range(8)))
    assert sorted(answers) == [200] + [409] * 7


# ---- audit --------------------------------------------------------------------------------------

def records(admin, query="", token=None):
    """The audit log, oldest first. What is gathered arrives a moment after the answer."""
    return admin.ok("GET", "/admin/audit?" + "&".join(filter(None, ["page_size=500", query])), token)["items"][::-1]


def test_every_mutation_leaves_one_record(two):
    def about(request_id, n):
        def look():
            found = [x for x in records(two) if x["request_id"] == request_id]
            return found if len(found) >= n else None
        found = wait_for(two.gw, look, what=f"the record of {request_id}")
        assert len(found) == n
        return found[0]

    def call(name, *args, **kw):
        r = two.call(*args, headers={"x-correlation-id": name, **kw.pop("headers", {})}, **kw)
        return r
    call("made", "POST", "/admin/tenants", body={"id": "new", "name": "New"})
    x = about("made", 1)
    assert x["action"] == "tenants.create" and x["outcome"] == "ok" and x["method"] == "access_token"
    assert x["actor_name"] == "root@example.test" and x["target"] == x["tenant"] == "new"
    assert x["before"] is None and x["after"]["name"] == "New" and x["source"] == "127.0.0.1"
    call("changed", "PATCH", "/admin/tenants/new", body={"name": "Newer"})
    x = about("changed", 1)
    assert x["before"]["name"] == "New" and x["after"]["name"] == "Newer"
    call("conflict", "POST", "/admin/tenants", body={"id": "new"})
    assert about("conflict", 1)["outcome"] == "conflict"
    call("forbidden", "POST", "/admin/tenants", two.acme, {"id": "mine"})
    x = about("forbidden", 1)
    assert x["outcome"] == "forbidden" and x["actor_name"] == "admin@acme.test"
    call("taken over", "DELETE", f"/admin/users/{two.other_user}", two.acme)  # no valid correlation id
    call("stolen", "DELETE", f"/admin/users/{two.other_user}", two.acme)
    x = about("stolen", 1)
    assert x["outcome"] == "forbidden" and x["target"] == two.other_user
    call("bad", "POST", "/admin/tenants", body={"id": "x", "nope": 1})
    assert about("bad", 1)["outcome"] == "unknown_field"
    for i in range(2):
        call(f"again{i}", "POST", "/admin/tenants", body={"id": "once"}, headers={"idempotency-key": "k"})
    about("again0", 1)
    call("deleted", "DELETE", "/admin/tenants/new")
    x = about("deleted", 1)
    assert x["before"]["name"] == "Newer" and x["after"] is None
    assert [r for r in records(two) if r["request_id"] == "again1"] == []
    sa = two.ok("POST", "/admin/service-accounts", body={"name": "ci"})["id"]
    r = call("secret", "POST", f"/admin/service-accounts/{sa}/credentials", body={"kind": "api_key"})
    assert about("secret", 1)["after"]["kind"] == "api_key"
    assert r.json()["secret"] not in two.call("GET", "/admin/audit?page_size=500").text
    assert {r["action"] for r in records(two)} >= {"auth.signin", "users.create", "assignments.create"}


def test_the_audit_log_is_a_chain_by_tenant(two):
    wait_for(two.gw, lambda: len(records(two, "action=auth.signin")) == 3, what="the sign-ins, which come later")
    all_ = records(two)
    assert [r["seq"] for r in all_] == list(range(1, len(all_) + 1))
    for a, b in zip(all_, all_[1:]):
        assert b["prev_hash"] == a["hash"]
    assert code(two.call("GET", "/admin/audit", two.acme)) == (403, "forbidden")
    mine = records(two, "tenant=acme", two.acme)
    assert mine and {r["tenant"] for r in mine} == {"acme"}
    assert {r["action"] for r in records(two, "action=tenants.create")} == {"tenants.create"}
    assert records(two, "to=2001-01-01T00:00:00Z") == []
    page = two.ok("GET", "/admin/audit?page_size=2")
    more = two.ok("GET", f"/admin/audit?page_size=2&page_token={page['next_page_token']}")
    assert [r["seq"] for r in page["items"] + more["items"]] == [r["seq"] for r in all_[:-5:-1]]


def test_two_replicas_make_one_chain(gateway):
    admin = Admin(gateway(store="rqlite", replicas=2))

    def create(i):
        return admin.call("POST", "/admin/tenants", body={"id": f"t{i}"}, replica=i % 2).status_code
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert list(pool.map(create, range(40))) == [201] * 40
    all_ = records(admin)
    assert len([r for r in all_ if r["action"] == "tenants.create"]) == 40
    assert [r["seq"] for r in all_] == list(range(1, len(all_) + 1))
    assert all(b["prev_hash"] == a["hash"] for a, b in zip(all_, all_[1:]))
    assert len({r["replica"] for r in all_}) == 2
