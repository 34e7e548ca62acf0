"""A gateway with tenants that are placed on two nodes."""


class Placed:
    """A gateway with two nodes: acme's commands go to gRPC and its queries to HTTP, beta's the other way
    round, and nowhere's go nowhere."""

    def __init__(self, gateway, nodes):
        self.a, self.b = nodes("a", "b")
        self.gw = gateway()
        self.token = self.gw.signin()["access_token"]
        for tenant in ("acme", "beta", "nowhere"):
            self.gw.admin("POST", "/admin/tenants", self.token, {"id": tenant, "name": tenant})
        self.route()

    def route(self, http=None, grpc_=None):
        http, grpc_ = http or [self.a.http], grpc_ or [self.a.grpc]
        self.gw.route(self.token,
                      aggregate_placement={"acme": "g", "beta": "h"}, aggregate_shards={"g": grpc_, "h": http},
                      projection_placement={"acme": "h", "beta": "g"}, projection_shards={"h": http, "g": grpc_},
                      runner_placement={"acme": "r"},
                      runner_shards={"r": [{"url": self.a.http, "admin": self.a.admin}]})

    def query(self, view, body=None, tenant="acme", **kw):
        if "data" not in kw:
            kw["json"] = {} if body is None else body
        return self.gw.call("POST", f"/v1/query/{view}", self.token, tenant, **kw)

    def fault(self, tenant="acme", **order):
        return self.query("fault", order, tenant)

    def command(self, aggregate="order/1", tenant="acme", **body):
        body = {"command_type": "place", "payload": {"n": 1}, **body}
        return self.gw.call("POST", f"/v1/commands/{aggregate}", self.token, tenant, json=body)

    def metadata(self, tenant="acme", *more):
        return (("authorization", f"Bearer {self.token}"), ("x-tenant-id", tenant), *more)
