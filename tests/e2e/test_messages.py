"""What is said about mistakes: each names the place, the value and what would be right."""
import json
import subprocess

import pytest

from harness.paths import GATEWAYD, program

DOCUMENTS = [
    ('{"revision":1,"aggregate_placment":{}}', ["/aggregate_placment: unknown key; did you mean aggregate_placement?"]),
    ('{"revision":1,"aggregate_placement":{"acme":"a9"}}', ['/aggregate_placement/acme: unknown shard "a9"']),
    ('{"revision":1,"aggregate_shards":{"a1":["ftp://x","http://"]}}', ["2 faults", "\n  /aggregate_shards/a1/0: bad URL",
                                                                       "\n  /aggregate_shards/a1/1: bad URL"]),
    ('{"revision":1,"runner_shards":{"r1":[{"url":"http://a:1","weigth":2}]}}', ["/runner_shards/r1/0/weigth"]),
    ('{"revision":"x"}', ["/revision: it must be a whole number"]),
]
TWICE = [
    ('{"revision":1,"revision":2}', "revision"),
    ('{"revision":1,"aggregate_shards":{"a1":["http://x"]},"aggregate_placement":{"b":"a1","acme":"a1","acme":"a1"}}', "acme"),
    ('{"revision":1,"aggregate_shards":{"b":["http://x"],"a":["http://x"],"b":["http://y"]}}', "b"),
]


def check(directory, document):
    """What gatewayd says of a routing file."""
    (directory / "routing.json").write_text(document)
    p = subprocess.run([program(GATEWAYD), "--check", "-o", f"store.url=sqlite:{directory / 'gateway.db'}",
                        "-o", "store.auto_migrate=true", "-o", f"routing.source=file:{directory / 'routing.json'}",
                        *(x for name in ("http", "grpc", "admin") for x in ("-o", f"listen.{name}=127.0.0.1:0"))],
                       capture_output=True, text=True, env={}, timeout=60)
    assert p.returncode != 0
    return p.stderr


@pytest.fixture
def g(gateway):
    gw = gateway()
    gw.login()
    return gw


@pytest.mark.parametrize("document, said", DOCUMENTS)
def test_a_bad_routing_document(g, document, said):
    g.write("routing.json", document)
    r = g.gwctl("routing", "put", "-f", "routing.json", check=False)
    at_start = check(g.directory, document)
    for text in said:
        assert r.returncode == 2 and text in r.stderr
        assert "routing.json" in at_start and text in at_start


@pytest.mark.parametrize("document, name", TWICE)
def test_a_member_that_is_there_twice(g, document, name):
    assert f'"{name}" is there twice' in check(g.directory, document)
    g.write("routing.json", document)
    r = g.gwctl("routing", "put", "-f", "routing.json", check=False)
    assert r.returncode == 2 and f'routing.json: line 1: the key "{name}" was given before' in r.stderr
    root = g.signin()["access_token"]
    r = g.call("PUT", "/admin/routing", root, listener="admin", data=document, headers={"content-type": "application/json"})
    assert r.status_code == 400 and f'"{name}"' in r.json()["error"] or "duplicate" in r.json()["error"]


@pytest.mark.parametrize("document", ["[1]", "7"])
def test_a_file_that_is_no_document(g, document):
    assert "a fault: the document must be an object" in check(g.directory, document)


def test_faults_of_the_configuration_are_all_told(g):
    p = subprocess.run([program(GATEWAYD), "--check", "-o", "workers=x", "-o", "log.levle=4"], capture_output=True, text=True)
    assert '\n  -o: workers: "x" must be a number from' in p.stderr
    assert "\n  -o: log.levle: unknown key; did you mean log.level?\n" in p.stderr
    r = g.gwctl("db", "check", "--store", "mysql:x", check=False)
    assert r.stderr.startswith('gwctl: --store: "mysql:x" must be sqlite:')


def test_faults_as_json(g):
    g.write("routing.json", '{"revision":1,"x":1,"y":2}')
    r = g.gwctl("-o", "json", "routing", "put", "-f", "routing.json", check=False)
    assert [f["path"] for f in json.loads(r.stderr)["details"]["faults"]] == ["/x", "/y"]
