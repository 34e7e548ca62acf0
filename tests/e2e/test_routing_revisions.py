"""Revisions of the routing document: kept as patches, gone back to, written by two at once, cut off by
kill -9. What each of them says is compared with a plain model."""
import concurrent.futures
import json
import random
import threading

import pytest
import requests

from harness.gateway import wait_for

MERGE = {"content-type": "application/merge-patch+json"}
MINIMAL = {**MERGE, "prefer": "return=minimal"}
SHARDS = {"p0": ["http://127.0.0.1:1"], "p1": ["http://127.0.0.1:2"]}
SECTIONS = [f"{kind}_{what}" for kind in ("aggregate", "projection", "runner") for what in ("placement", "shards")]


class House:
    def __init__(self, gw):
        self.gw, self.token = gw, gw.signin()["access_token"]

    def put(self, body, headers=MINIMAL, replica=0):
        return self.gw.call("PUT", "/admin/routing", token=self.token, listener="admin", replica=replica, timeout=60,
                            headers=headers, data=body if isinstance(body, (str, bytes)) else json.dumps(body))

    def patch(self, revision, placement, **kw):
        return self.put({"revision": revision, "projection_placement": placement}, **kw)

    def get(self, path="/admin/routing", **kw):
        return self.gw.admin("GET", path, self.token, **kw)

    def first(self):
        r = self.put({"revision": 1, "projection_shards": SHARDS, "projection_placement": {"fixed": "p0"}},
                     headers={"content-type": "application/json"})
        assert r.status_code == 200, r.text


@pytest.fixture
def house(gateway):
    h = House(gateway())
    h.first()
    return h


def whole(revision, placement):
    """The document as it is answered."""
    return {**{s: {} for s in SECTIONS}, "revision": revision, "projection_shards": SHARDS,
            "projection_placement": {"fixed": "p0", **placement}}


def test_many_small_changes_and_each_of_their_revisions(house):
    placement, then = {}, {1: {}}
    for n in range(2, 42):
        change = {"moving": f"p{n % 2}", f"t{n}": "p1", f"t{n - 5}": None}
        placement = {k: v for k, v in {**placement, **change}.items() if v}
        r = house.patch(n, change)
        assert r.status_code == 200 and r.json() == {"revision": n} and r.headers["etag"] == f'"v{n}"', r.text
        assert r.headers["preference-applied"] == "return=minimal"
        then[n] = dict(placement)
    assert house.get() == whole(41, placement)
    for n in then:
        assert house.get(f"/admin/routing/revisions/{n}")["document"] == whole(n, then[n])
    diff = house.get("/admin/routing/diff?from=3&to=40")["changes"]
    assert {d["path"].rsplit("/", 1)[1] for d in diff} == {k for k, _ in then[3].items() ^ then[40].items()}
    r = house.gw.call("POST", "/admin/routing/rollback", token=house.token, listener="admin", json={"revision": 7})
    assert r.json() == whole(42, then[7])
    house.gw.replicas[0].stop()
    house.gw.replicas[0].start()
    assert house.get() == whole(42, then[7])
    seen, token = [], ""
    while token is not None:
        page = house.get(f"/admin/routing/revisions?page_size=9{token and '&page_token=' + token}")
        seen += [item["revision"] for item in page["items"]]
        token = page["next_page_token"]
    assert seen == list(range(42, 0, -1))


def test_what_is_audited_is_what_differs(house):
    assert house.patch(2, {"fixed": "p1", "acme": "p0"}).status_code == 200
    assert house.patch(2, {"fixed": "p0"}).status_code == 409
    last = lambda: house.get("/admin/audit?action=routing.put&page_size=2")["items"]
    wait_for(house.gw, lambda: last()[0]["outcome"] != "ok", what="the refused one, which comes by a thread")
    refused, done = last()
    assert done["before"] == {"revision": 1, "projection_placement": {"fixed": "p0"}}
    assert done["after"] == {"revision": 2, "projection_placement": {"acme": "p0", "fixed": "p1"}}
    assert refused["outcome"] == "revision_conflict" and refused["after"] is None


def test_a_whole_document_is_compared(house):
    doc = whole(2, {f"t{i}": "p1" for i in range(50)})
    assert house.put(doc, headers={"content-type": "application/json"}).json() == doc
    doc["revision"], doc["projection_placement"]["t7"] = 3, "p0"
    del doc["projection_placement"]["t8"]
    assert house.put(doc, headers={"content-type": "application/json"}).json() == doc
    last = house.get("/admin/audit?action=routing.put&page_size=1")["items"][0]
    assert last["after"] == {"revision": 3, "projection_placement": {"t7": "p0"}}
    assert house.get("/admin/routing/revisions/2")["document"]["projection_placement"]["t8"] == "p1"


def test_the_etag_in_place_of_the_revision(house):
    change = {"projection_placement": {"acme": "p1"}}
    assert house.put(change, headers={**MINIMAL, "if-match": '"v1"'}).json() == {"revision": 2}
    assert house.put(change, headers={**MINIMAL, "if-match": '"v1"'}).status_code == 412
    r = house.put(change)
    assert (r.status_code, r.json()["code"]) == (422, "routing_invalid")


HOSTILE = [
    ("", 400), (b"\x00", 400), (b"\xff\xfe", 400), ("{", 400), ("[]", 400), ("7", 400), ("null", 400), ('"x"', 400),
    ("[" * 100000, 400), ('{"a":' * 1000 + "1" + "}" * 1000, 400),
    ('{"revision":2,"revision":3}', 400), ('{"revision":2,"projection_shards":{"p0":["http://h"]},"projection_placement":{"a":"p0","a":"p0"}}', 400),
    ('{"revision":2,"projection_shards":{"p2":["http://h"],"p2":["http://h"]}}', 400),
    ('{"revision":2,"projection_placement":{"\\u0000":"p0"}}', 400), ('{"revision":2} x', 400),
    ('{"revision":99999999999999999999999}', 422), ('{"revision":2.5}', 422), ('{"revision":"2"}', 422),
    ('{"revision":9223372036854775807}', 409), ('{"revision":-1}', 409), ('{"revision":1}', 409),
    ('{"revision":2,"projection_placement":{"' + "a" * 5000 + '":"p0"}}', 422),
    ('{"revision":2,"projection_placement":{"a":{"b":{"c":null}}}}', 422),
    ('{"revision":2,"projection_shards":{"p0":null}}', 422), ('{"revision":2,"projection_shards":null}', 422),
    ('{"revision":2,"projection_shards":{"p2":["http://h/' + "x" * 2000 + '"]}}', 422),
    ('{"revision":2,"projection_shards":{"' + "\\u00e9" * 30 + '":["http://h"]}}', 422),
    ('{"revision":2,"' + "k" * 100000 + '":{}}', 422),
]


@pytest.mark.parametrize("kind", [MINIMAL, {"content-type": "application/json"}])
def test_hostile_documents(house, kind):
    for body, status in HOSTILE:
        r = house.put(body, headers=kind)
        assert (r.status_code, "code" in r.json()) == (status, True), (body[:80], r.text[:300])
    assert house.get() == whole(1, {})
    for n in ("0", "2", "-1", "x", "99999999999999999999"):
        assert house.gw.call("GET", f"/admin/routing/revisions/{n}", token=house.token,
                             listener="admin").status_code == 404
    r = house.gw.call("POST", "/admin/routing/rollback", token=house.token, listener="admin", json={"revision": 2})
    assert (r.status_code, r.json()["code"]) == (404, "not_found")


def test_kill_in_the_middle(house):
    """Patches large enough that whole documents are laid beside them meanwhile. Whatever the moment, what was
    acknowledged is there, whole, and nothing is there in part."""
    acknowledged = house.get()["revision"]
    rng = random.Random(7)
    filler = {f"filler-{i}": "p1" for i in range(1500)}
    for _ in range(6):
        stop = threading.Event()
        done = [acknowledged]

        def write():
            while not stop.is_set():
                n = done[0] + 1
                extra = {f"{k}-{n % 7}": f"p{n % 2}" for k in filler}
                try:
                    r = house.patch(n, {"moving": f"p{n % 2}", f"t{n}": "p1", **extra})
                except requests.RequestException:
                    return
                assert r.status_code == 200, r.text
                done[0] = n
        writer = threading.Thread(target=write)
        writer.start()
        goal = done[0] + rng.randrange(3, 12)
        wait_for(house.gw, lambda: done[0] >= goal or not writer.is_alive(), what="some changes")
        house.gw.replicas[0].kill()
        stop.set()
        writer.join()
        house.gw.replicas[0].start()
        now = house.get()
        assert now["revision"] in (done[0], done[0] + 1)
        acknowledged = n = now["revision"]
        own = {t for t in now["projection_placement"] if t[0] == "t"}
        assert own == {f"t{i}" for i in range(2, n + 1)} and now["projection_placement"]["moving"] == f"p{n % 2}"
        assert {v for k, v in now["projection_placement"].items() if k.endswith(f"-{n % 7}")} == {f"p{n % 2}"}
        assert house.get(f"/admin/routing/revisions/{n}")["document"] == now
        assert house.get(f"/admin/routing/revisions/{n // 2 + 1}")["revision"] == n // 2 + 1


# ---- two replicas -------------------------------------------------------------------------------

@pytest.fixture
def pair(gateway, nats, rqlite3):
    h = House(gateway(store="rqlite", rqlite=rqlite3, replicas=2, nats=nats))
    h.first()
    return h


def test_of_two_replicas_that_write_one_wins(pair):
    placement = {}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for n in range(2, 32):
            answers = list(pool.map(lambda i: (i, pair.patch(n, {f"w{i}": "p1"}, replica=i % 2)), range(8)))
            won = [i for i, r in answers if r.status_code == 200]
            assert len(won) == 1, [r.text for _, r in answers]
            assert {r.json()["code"] for i, r in answers if i not in won} == {"revision_conflict"}
            placement[f"w{won[0]}"] = "p1"
            assert [pair.get(replica=i) for i in (0, 1)] == [whole(n, placement)] * 2


def test_the_other_replica_follows_by_the_feed(pair):
    def revision():
        text = requests.get(f"{pair.gw.replicas[1].admin}/metrics", timeout=60).text
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("gateway_routing_revision "))
    for n in range(2, 12):
        assert pair.patch(n, {"moving": f"p{n % 2}"}).status_code == 200
        wait_for(pair.gw, lambda: revision() == n, what="the other replica")
        where = pair.get("/admin/routing/resolve?tenant=moving&kind=projection", replica=1)
        assert where["shard"] == f"p{n % 2}"
    pair.gw.replicas[1].stop()
    for n in range(12, 20):
        assert pair.patch(n, {"moving": f"p{n % 2}", f"t{n}": "p0"}).status_code == 200
    r = pair.put(whole(20, {"moving": "p0"}), headers={"content-type": "application/json"})
    assert r.status_code == 200
    pair.gw.replicas[1].start()
    assert pair.get(replica=1) == whole(20, {"moving": "p0"})
    assert revision() == 20
