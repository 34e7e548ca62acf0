"""Where the routing document comes from, what is refused, and that a change takes hold without a
request falling between two revisions. The admin API of revisions is in test_admin.py."""
import json
import os
import threading

import pytest

from harness.gateway import wait_for
from harness.wait import until

QUERY = "/v1/query/events"


def put(path, text):
    """Beside, then over: as deployments replace files."""
    beside = f"{path}.new"
    with open(beside, "w") as f:
        f.write(text if isinstance(text, str) else json.dumps(text))
    os.rename(beside, path)


def document(revision, node, tenants=("acme",)):
    return {"revision": revision,
            "aggregate_placement": {t: "a" for t in tenants}, "aggregate_shards": {"a": [node.grpc]},
            "projection_placement": {t: "p" for t in tenants}, "projection_shards": {"p": [node.http]}}


class House:
    def __init__(self, gw):
        self.gw, self.token = gw, gw.signin()["access_token"]

    def revision(self, replica=0):
        return self.gw.admin("GET", "/admin/routing", self.token, replica=replica)["revision"]

    def query(self, tenant="acme", **kw):
        return self.gw.call("POST", QUERY, token=self.token, tenant=tenant, json={}, **kw)

    def put(self, doc, **kw):
        return self.gw.call("PUT", "/admin/routing", token=self.token, listener="admin", json=doc, **kw)


@pytest.fixture
def filed(gateway, node, tmp_path):
    path = tmp_path / "routing.json"
    put(path, document(1, node))
    h = House(gateway(config={"routing.source": f"file:{path}"}))
    h.path, h.node = path, node
    return h


def test_a_file_is_followed(filed):
    assert filed.revision() == 1
    assert filed.query().status_code == 200
    r = filed.query("globex")
    assert (r.status_code, r.json()["code"]) == (503, "tenant_unplaced")
    put(filed.path, document(2, filed.node, ("acme", "globex")))
    wait_for(filed.gw, lambda: filed.revision() == 2, what="the new file")
    assert filed.query("globex").status_code == 200


@pytest.mark.parametrize("text", ["", "{", "[]", '{"revision": 9, "aggregate_placement": {"acme": "gone"}}'])
def test_a_bad_file_leaves_the_last_good_one(filed, text):
    put(filed.path, text)
    log = filed.gw.replicas[0].log
    wait_for(filed.gw, lambda: any("last good" in e.get("msg", "") for e in log()), what="the log to say so")
    assert filed.revision() == 1 and filed.query().status_code == 200
    r = filed.gw.call("POST", "/admin/routing/reload", token=filed.token, listener="admin")
    assert (r.status_code, r.json()["code"]) == (422, "routing_invalid")
    assert filed.query().status_code == 200
    put(filed.path, document(10, filed.node))
    r = filed.gw.call("POST", "/admin/routing/reload", token=filed.token, listener="admin")
    assert r.status_code == 200 and r.json()["revision"] == 10


def test_a_file_is_changed_where_it_lies(filed):
    r = filed.put(document(2, filed.node))
    assert (r.status_code, r.json()["code"]) == (409, "conflict")


def test_every_fault_is_listed(gateway, node):
    h = House(gateway())
    r = h.put({"revision": 1, "aggregate_shards": {"a": ["grpc://", {"url": "http://h", "weight": 0}]},
               "aggregate_placement": {"acme": "b", "Globex": "a"}, "runner": {}})
    assert (r.status_code, r.json()["code"]) == (422, "routing_invalid")
    assert {f["path"] for f in r.json()["details"]["faults"]} == {
        "/runner", "/aggregate_shards/a/0", "/aggregate_shards/a/1/weight", "/aggregate_placement/acme",
        "/aggregate_placement/Globex"}
    assert h.revision() == 0
    r = h.put({**document(1, node), "revision": 3})
    assert (r.status_code, r.json()["code"]) == (409, "revision_conflict")


def test_the_default_placement(gateway, node):
    h = House(gateway())
    h.gw.route(h.token, **{**document(1, node), "projection_placement": {"*": "p"}})
    assert h.query("whoever").status_code == 200
    r = h.gw.call("POST", "/v1/commands/order/1", token=h.token, tenant="whoever",
                  json={"command_type": "open", "payload": {}})
    assert (r.status_code, r.json()["code"]) == (503, "tenant_unplaced")


def test_no_request_falls_between_two_revisions(gateway, nodes):
    """Placements move to and fro between two nodes under load: no request fails."""
    one, two = nodes("one", "two")
    h = House(gateway())
    h.gw.route(h.token, **document(1, one))
    stop, bad = threading.Event(), []

    def load():
        while not stop.is_set():
            r = h.query()
            if r.status_code != 200:
                bad.append(r.text)
    threads = [threading.Thread(target=load) for _ in range(4)]
    for t in threads:
        t.start()
    try:
        for i in range(20):
            h.gw.route(h.token, **document(i + 2, (two, one)[i % 2]))
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not bad


# ---- a bucket of NATS --------------------------------------------------------------------------

class Bucket:
    """A key-value bucket by the protocol beneath: a stream KV_name over $KV.name.>"""

    def __init__(self, nats, name="routes"):
        self.nats, self.name = nats, name

    def request(self, subject, data=b""):
        with self.nats.client() as c:
            c.subscribe("answer")
            c.send(b"PUB %s answer %d\r\n%s\r\n" % (subject.encode(), len(data), data))
            return json.loads(c.message()[1])

    def make(self):
        answer = self.request(f"$JS.API.STREAM.CREATE.KV_{self.name}", json.dumps({
            "name": f"KV_{self.name}", "subjects": [f"$KV.{self.name}.>"], "max_msgs_per_subject": 5,
            "retention": "limits", "storage": "file", "num_replicas": 1, "discard": "new",
            "allow_rollup_hdrs": True, "deny_delete": True}).encode())
        assert "error" not in answer, answer
        return self

    def drop(self):
        assert "error" not in self.request(f"$JS.API.STREAM.DELETE.KV_{self.name}")

    def put(self, doc):
        text = doc if isinstance(doc, str) else json.dumps(doc)
        answer = self.request(f"$KV.{self.name}.doc", text.encode())
        assert "seq" in answer, answer


@pytest.fixture
def bucketed(gateway, node, nats):
    h = House(gateway(nats=nats, config={"routing.source": "nats:routes/doc"}))
    h.node, h.nats, h.bucket = node, nats, Bucket(nats)
    return h


def test_a_bucket_is_followed(bucketed):
    h = bucketed
    assert h.revision() == 0
    h.bucket.make().put(document(1, h.node))
    wait_for(h.gw, lambda: h.revision() == 1, what="the first document")
    assert h.query().status_code == 200
    h.bucket.put('{"revision": 2, "nonsense": {}}')
    h.bucket.put(document(3, h.node, ("acme", "globex")))
    wait_for(h.gw, lambda: h.revision() == 3, what="the next document")
    assert h.query("globex").status_code == 200


def test_a_bucket_that_is_made_anew_is_followed(bucketed):
    """A watcher on a bucket that is deleted and made again hears nothing more; we do."""
    h = bucketed
    h.bucket.make().put(document(5, h.node))
    wait_for(h.gw, lambda: h.revision() == 5, what="the first document")
    h.bucket.drop()
    h.bucket.make().put(document(6, h.node, ("globex",)))
    wait_for(h.gw, lambda: h.revision() == 6, what="the document in the new bucket")
    assert h.query("globex").status_code == 200


def test_a_lost_put_does_not_take_routing_back(bucketed):
    h = bucketed
    h.bucket.make().put(document(5, h.node))
    wait_for(h.gw, lambda: h.revision() == 5, what="the first document")
    h.bucket.drop()
    h.bucket.make().put(document(4, h.node, ("globex",)))
    wait_for(h.gw, lambda: any("is in force" in json.dumps(e) for e in h.gw.replicas[0].log()),
             what="the log to say so")
    assert h.revision() == 5 and h.query().status_code == 200


def test_nats_away_changes_nothing(bucketed):
    h = bucketed
    h.bucket.make().put(document(1, h.node))
    wait_for(h.gw, lambda: h.revision() == 1, what="the first document")
    h.nats.kill()
    assert h.query().status_code == 200
    h.nats.start()
    until(h.nats.hello, what="nats-server")
    wait_for(h.gw, lambda: h.bucket.put(document(2, h.node)) is None, what="the bucket after the restart")
    wait_for(h.gw, lambda: h.revision() == 2, what="the document after the restart")
