"""Decisions on the way to a node: rights, globs, tenants; that a change holds from the moment its call
returns; and that nobody climbs by way of what they manage."""
import threading
import uuid

import pytest

from harness.gateway import wait_for
from harness.wait import SPREAD
from test_admin import Admin, code

ORDER = {"command_type": "place", "payload": {}}


@pytest.fixture
def house(gateway, node):
    """Tenants acme and other on one node; clerk: command.submit on order*, query.execute on events."""
    h = Admin(gateway())
    for t in ("acme", "other"):
        h.tenant(t)
    h.gw.route(h.root, aggregate_placement={"*": "a"}, aggregate_shards={"a": [node.grpc]},
               projection_placement={"*": "p"}, projection_shards={"p": [node.http]})
    h.ok("POST", "/admin/roles", body={"id": "clerk", "tenant": "acme", "rights": [
        {"right": "command.submit", "resource": "order*"}, {"right": "query.execute", "resource": "events"}]})
    h.clerk_id = h.user("clerk@acme.test", ("acme", "clerk"))
    h.clerk = h.token("clerk@acme.test")
    return h


def command(h, token, aggregate="order", tenant="acme"):
    return h.gw.call("POST", f"/v1/commands/{aggregate}/{uuid.uuid4()}", token=token, tenant=tenant, json=ORDER)


def query(h, token, view="events", tenant="acme"):
    return h.gw.call("POST", f"/v1/query/{view}", token=token, tenant=tenant, json={})


def test_globs(house):
    for aggregate in ("order", "orders", "order-line"):
        assert command(house, house.clerk, aggregate).status_code == 200
    for aggregate in ("reorder", "Order", "ord", "invoice", "%6frde", "*", "order%2F..%2Finvoice"[:3]):
        r = command(house, house.clerk, aggregate)
        assert code(r) == (403, "forbidden"), aggregate
        assert r.json()["details"]["right"] == "command.submit"
    assert query(house, house.clerk).status_code == 200
    assert code(query(house, house.clerk, "ledger")) == (403, "forbidden")
    assert query(house, house.clerk, "ledger").json()["details"] == {"right": "query.execute", "resource": "ledger"}


def test_a_resource_is_decided_as_it_is_sent_on(house):
    """What is percent-encoded is decided decoded, and nothing else reaches the node."""
    assert command(house, house.clerk, "%6frder").status_code == 200
    assert code(command(house, house.clerk, "%69nvoice")) == (403, "forbidden")


def test_tenants(house):
    assert code(command(house, house.clerk, tenant="other")) == (403, "tenant_forbidden")
    assert code(command(house, house.clerk, tenant="nowhere")) == (403, "tenant_forbidden")
    assert code(command(house, house.clerk, tenant="Acme")) == (400, "tenant_invalid")
    assert code(command(house, house.clerk, tenant=None)) == (400, "tenant_required")
    assert command(house, house.root, tenant="other").status_code == 200


def test_a_role_of_one_tenant_is_nothing_in_another(house):
    r = house.call("POST", "/admin/assignments", body={"principal": house.clerk_id, "tenant": "other",
                                                       "role": "clerk"})
    assert code(r) == (400, "invalid_field")
    r = house.call("POST", "/admin/assignments", body={"principal": house.clerk_id, "tenant": "*", "role": "clerk"})
    assert code(r) == (400, "invalid_field")


def test_an_edited_role_holds_when_the_call_returns(house):
    for i in range(10):
        right = "invoice" if i % 2 == 0 else "order*"
        house.ok("PATCH", "/admin/roles/clerk", body={"rights": [{"right": "command.submit", "resource": right}]})
        assert command(house, house.clerk, "order").status_code == (403 if i % 2 == 0 else 200)
        assert command(house, house.clerk, "invoice").status_code == (200 if i % 2 == 0 else 403)


def test_a_withdrawn_assignment_holds_on_every_connection(house):
    """Under load on many connections, so on every worker: after the call has returned, no request that
    began later is let through."""
    gone, late = threading.Event(), []

    def load():
        while True:
            began_after = gone.is_set()
            r = query(house, house.clerk)
            if began_after:
                late.append(r.status_code)
                return
            assert r.status_code in (200, 403), r.text
    threads = [threading.Thread(target=load) for _ in range(8)]
    for t in threads:
        t.start()
    assignment = house.ok("GET", f"/admin/assignments?principal={house.clerk_id}")["items"][0]["id"]
    house.ok("DELETE", f"/admin/assignments/{assignment}")
    gone.set()
    for t in threads:
        t.join()
    assert late == [403] * 8


def test_a_disabled_tenant(house):
    """Nobody does anything in it, whatever lane; the platform manages it; strangers are not told."""
    items = {"items": [{"aggregate_type": "order", "aggregate_id": "1", **ORDER}]}
    batch = lambda token: house.gw.call("POST", "/v1/commands:batch", token=token, tenant="acme", json=items)
    mine = house.user("admin@acme.test", ("acme", "tenant-admin"))
    admin, stranger = house.token("admin@acme.test"), house.user("stranger@other.test", ("other", "tenant-member"))
    assert stranger and command(house, house.clerk).status_code == batch(house.clerk).status_code == 200
    assert house.ok("GET", "/admin/tenants/acme")["disabled"] is False
    t = house.ok("PATCH", "/admin/tenants/acme", body={"disabled": True})
    assert t["disabled"] is True
    for token in (house.clerk, house.root):  # the platform's own administrator sends no commands into it either
        assert code(command(house, token)) == code(query(house, token)) == code(batch(token)) == (403, "tenant_disabled")
    assert code(house.call("GET", "/admin/runner/jobs", house.root, tenant="acme")) == (403, "tenant_disabled")
    assert code(house.call("GET", "/admin/users?tenant=acme", admin)) == (403, "tenant_disabled")
    assert code(house.call("GET", f"/admin/users/{mine}", admin)) == (403, "tenant_disabled")
    assert code(command(house, house.token("stranger@other.test"))) == (403, "tenant_forbidden")
    assert command(house, house.root, tenant="other").status_code == 200
    me = house.gw.call("GET", "/v1/me", token=house.clerk, tenant="acme").json()
    assert me["capabilities"] == [] and me["tenants"][0]["id"] == "acme"
    why = house.ok("GET", f"/admin/authz/explain?principal={house.clerk_id}&tenant=acme&right=command.submit&resource=order")
    assert why["allowed"] is False and why["reason"] == "the tenant is disabled"
    # the platform goes on managing it
    assert house.ok("GET", "/admin/users?tenant=acme")["items"]
    house.assign(mine, "acme", "tenant-member")
    assert house.ok("PATCH", "/admin/tenants/acme", body={"name": "Acme"})["disabled"] is True
    house.ok("PATCH", "/admin/tenants/acme", body={"disabled": False})
    assert command(house, house.clerk).status_code == query(house, house.clerk).status_code == 200
    assert house.call("GET", "/admin/users?tenant=acme", admin).status_code == 200


def test_a_tenant_is_disabled_on_both_replicas(gateway, nats, node):
    gw = gateway(store="rqlite", replicas=2, nats=nats)
    h = Admin(gw)
    h.tenant("acme")
    gw.route(h.root, aggregate_placement={"*": "a"}, aggregate_shards={"a": [node.grpc]})
    h.user("clerk@acme.test", ("acme", "tenant-member"))
    clerk = h.token("clerk@acme.test")

    def status(replica):
        return gw.call("POST", f"/v1/commands/order/{uuid.uuid4()}", token=clerk, tenant="acme", json=ORDER,
                       replica=replica).status_code
    wait_for(gw, lambda: (status(0), status(1)) == (200, 200), what="the tenant on both")
    gw.login()
    assert gw.ctl("tenant", "disable", "acme").json()["disabled"] is True
    wait_for(gw, lambda: (status(0), status(1)) == (403, 403), SPREAD, "both to refuse")
    assert gw.ctl("tenant", "enable", "acme").json()["disabled"] is False
    wait_for(gw, lambda: (status(0), status(1)) == (200, 200), SPREAD, "both to let in")


def test_the_batch_decides_each_item(house):
    items = [{"aggregate_type": a, "aggregate_id": str(uuid.uuid4()), **ORDER} for a in ("order", "invoice")]
    r = house.gw.call("POST", "/v1/commands:batch", token=house.clerk, tenant="acme", json={"items": items})
    assert [x["status"] for x in r.json()["results"]] == [200, 403]


# ---- nobody climbs -----------------------------------------------------------------------------

@pytest.fixture
def climber(house):
    """An administrator of acme, and a service account of acme that the platform has made mighty."""
    house.admin_id = house.user("admin@acme.test", ("acme", "tenant-admin"))
    house.acme = house.token("admin@acme.test")
    house.bot = house.ok("POST", "/admin/service-accounts", body={"name": "bot", "tenant": "acme"})["id"]
    return house


def test_no_credential_for_a_mightier_service_account(climber):
    assert climber.call("POST", f"/admin/service-accounts/{climber.bot}/credentials", climber.acme,
                        {"kind": "api_key"}).status_code == 201
    climber.assign(climber.bot, "*", "platform-admin")
    for body in ({"kind": "api_key"}, {"kind": "secret"}, {"kind": "certificate", "subject": "CN=me"}):
        r = climber.call("POST", f"/admin/service-accounts/{climber.bot}/credentials", climber.acme, body)
        assert code(r) == (403, "forbidden"), body


@pytest.mark.parametrize("method, path, body", [("PUT", "/password", {"password": "seven grey herons wade"}),
                                                ("PATCH", "", {"email": "mine@acme.test"})])
def test_no_taking_over_a_mightier_member(climber, method, path, body):
    """One that has a right in the tenant which its administrator has not."""
    assert climber.call(method, f"/admin/users/{climber.clerk_id}{path}", climber.acme, body).status_code in (200, 204)
    climber.ok("POST", "/admin/roles", body={"id": "runner", "tenant": "acme", "rights": [{"right": "runner.admin"}]})
    climber.assign(climber.clerk_id, "acme", "runner")
    assert code(climber.call(method, f"/admin/users/{climber.clerk_id}{path}", climber.acme, body)) == \
        (403, "forbidden")


def test_an_api_key_made_before_is_the_account_s_own(climber):
    key = climber.ok("POST", f"/admin/service-accounts/{climber.bot}/credentials", climber.acme,
                     {"kind": "api_key"})["secret"]
    assert code(query(climber, key)) == (403, "tenant_forbidden")
    climber.assign(climber.bot, "acme", "tenant-member", climber.acme)
    assert query(climber, key).status_code == 200
    assert code(query(climber, key, tenant="other")) == (403, "tenant_forbidden")


def test_a_role_in_use_can_t_be_widened(climber):
    climber.assign(climber.admin_id, "acme", "clerk", climber.acme)
    for rights in ([{"right": "command.*"}], [{"right": "*"}], [{"right": "keys.write"}],
                   [{"right": "command.submit"}, {"right": "rebalance.write"}]):
        r = climber.call("PATCH", "/admin/roles/clerk", climber.acme, {"rights": rights})
        assert code(r) == (403, "forbidden"), rights
    assert code(climber.call("GET", "/admin/keys", climber.acme)) == (403, "forbidden")


def test_explain_agrees_with_the_door(house):
    for aggregate, tenant in (("order", "acme"), ("invoice", "acme"), ("order", "other")):
        r = house.ok("GET", f"/admin/authz/explain?principal={house.clerk_id}&tenant={tenant}"
                            f"&right=command.submit&resource={aggregate}")
        assert r["allowed"] is (command(house, house.clerk, aggregate, tenant).status_code == 200)
