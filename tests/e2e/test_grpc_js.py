"""The gRPC side with a client of another make: @grpc/grpc-js, which has its own HTTP/2, and a reflection
client that builds calls from what it is told."""
import json
import os
import re
import subprocess
import threading

import grpc
import pytest

from harness.nodes import CommandNode
from harness.paths import ROOT, program
from harness.wait import until

CLIENT = os.path.join(os.path.dirname(__file__), "harness", "client.js")
MODULES = os.path.join(ROOT, "build", "tools", "grpc", "node_modules")
REQUEST = {"aggregate_type": "order", "aggregate_id": "9", "command_type": "place", "payload": '{"a":1.50}'}


class Js:
    def __init__(self, placed):
        assert os.path.isdir(MODULES), "the npm packages are missing: run `make deps`"
        self.placed = placed

    def start(self, scenario, **args):
        args.setdefault("metadata", {"authorization": f"Bearer {self.placed.token}", "x-tenant-id": "acme"})
        args.setdefault("request", REQUEST)
        p = subprocess.Popen([program("node"), CLIENT, self.placed.gw.replicas[0].grpc, scenario], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env={**os.environ, "NODE_PATH": MODULES})
        p.stdin.write(json.dumps(args))
        p.stdin.close()
        p.stdin = None
        return p

    def end(self, process):
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0 and out, err
        return json.loads(out)

    def __call__(self, scenario, **args):
        return self.end(self.start(scenario, **args))


@pytest.fixture
def js(placed):
    return Js(placed)


@pytest.mark.parametrize("tenant", ["acme", "beta"])
def test_submit(js, tenant):
    metadata = {"authorization": f"Bearer {js.placed.token}", "x-tenant-id": tenant, "trace-bin": [0, 255, 10, 13]}
    got = js("submit", metadata=metadata, timeout_ms=10000, request={**REQUEST, "metadata": {"k": "v"}})
    assert got["code"] == 0, got
    assert got["answer"]["version"] == 1 and got["answer"]["events"][0]["version"] == 1
    got = js("submit", metadata=metadata, request={**REQUEST, "expected_version": 7})
    assert got["code"] in (9, 10)  # an http node's 409, a gRPC node's own ABORTED
    assert js("submit", metadata={})["code"] == 16


def test_many_at_once(js):
    assert js("many", n=300) == [f"c{i}" for i in range(300)]


def test_statuses_limits_and_cancellation(js, protos):
    over = threading.Event()
    nasty = "tést 100% \n 日本"
    node = CommandNode(protos, None)
    js.placed.route(grpc_=[node.grpc])
    try:
        node.answer = lambda request, context: context.abort(grpc.StatusCode.DATA_LOSS, nasty)
        assert js("submit") == {"code": 15, "details": nasty}
        node.answer = lambda request, context: (context.add_callback(over.set), over.wait(60))
        assert js("submit", timeout_ms=300)["code"] == 4
        assert over.wait(9)  # before the node's time is over
        over.clear()
        assert js("submit", cancel_after_ms=300)["code"] == 1
        assert over.wait(9)  # before the node's time is over
    finally:
        over.set()
        node.stop()


def test_compressed_messages(js):
    # grpc-js goes by what the server offers: it is told "identity", and this is what it learns
    got = js("submit", channel={"grpc.default_compression_algorithm": 2})
    assert got["code"] == 12 and re.search("compress", got["details"])


def test_large_messages(js):
    got = js("submit", request={**REQUEST, "payload": json.dumps("x" * (1 << 20))})
    assert got["code"] == 8


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection(js, version):
    got = js("reflect", version=version)
    assert got["methods"] == {
        "aggregate.gateway.v1.CommandService": ["SubmitCommand"], "grpc.health.v1.Health": ["Check", "Watch"],
        "grpc.reflection.v1.ServerReflection": ["ServerReflectionInfo"],
        "grpc.reflection.v1alpha.ServerReflection": ["ServerReflectionInfo"]}
    assert got["result"]["code"] == 0 and got["result"]["answer"]["version"] == 1


def test_watch_until_the_drain(js):
    watch = js.start("watch")
    assert watch.stderr.readline() == "SERVING\n"
    js.placed.gw.replicas[0].process.signal(15)
    assert js.end(watch) == {"told": ["SERVING", "NOT_SERVING"], "code": 14}
    until(lambda: not js.placed.gw.replicas[0].process.alive(), what="the gateway to end")
