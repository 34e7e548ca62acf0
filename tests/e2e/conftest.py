"""Fixtures of the end-to-end tests. Every fixture starts programs of its own in a directory of its
own, so that any number of tests run at the same time (pytest -n)."""
import pytest

from harness import process
from harness.certs import Authority
from harness.gateway import Gateway
from harness.nats import Nats
from harness.node import Node
from harness.placed import Placed
from harness.protos import Descriptors, Protos
from harness.raw import raw as raw_call
from harness.rqlite import Rqlite

LOG_TAIL = 8000


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows the end of the log of every program that the test could see."""
    report = (yield).get_result()
    if report.failed:
        for p in process.started:
            if p.popen:
                state = "running" if p.alive() else f"exit {p.popen.returncode}"
                report.sections.append((f"{p.name} (pid {p.pid}, {state})", p.output()[-LOG_TAIL:]))


@pytest.fixture(autouse=True)
def processes():
    """Ends whatever a test started and did not end itself, by pid."""
    before = len(process.started)
    yield
    mine = process.started[before:]
    del process.started[before:]
    for p in mine:
        p.kill()
    reports = [p.sanitizer_report() for p in mine]
    assert not any(reports), "\n".join(filter(None, reports))


@pytest.fixture(scope="session")
def protos(tmp_path_factory):
    return Protos(tmp_path_factory.mktemp("proto"))


@pytest.fixture(scope="session")
def messages(tmp_path_factory):
    """messages("grpc.health.v1.HealthCheckRequest") → its class"""
    return Descriptors.of_schema(tmp_path_factory.mktemp("schema"))


@pytest.fixture
def nodes(tmp_path):
    """A factory: nodes("a", "b") starts two nodes of these names."""
    def start(*names, **kw):
        return [Node(tmp_path, name, **kw) for name in names]
    return start


@pytest.fixture
def node(nodes):
    return nodes("node")[0]


@pytest.fixture
def rqlite3(tmp_path):
    (tmp_path / "rqlite").mkdir()
    return Rqlite(tmp_path / "rqlite")


@pytest.fixture
def nats(tmp_path):
    (tmp_path / "nats").mkdir()
    return Nats(tmp_path / "nats")


@pytest.fixture
def authority(tmp_path):
    """Issues certificates: see harness/certs.py."""
    return Authority(tmp_path / "ca")


@pytest.fixture
def stranger(tmp_path):
    """Another authority, which nobody trusts."""
    return Authority(tmp_path / "other")


@pytest.fixture
def gateway(tmp_path, request):
    """A factory: gateway(store="sqlite"|"rqlite", replicas=1, nats=…, config={…}, env={…}) starts a
    gateway with its first platform admin made, and returns it when every replica is ready."""
    made = []

    def start(store="sqlite", **kw):
        if store == "rqlite" and "rqlite" not in kw:
            kw["rqlite"] = request.getfixturevalue("rqlite3")
        made.append(Gateway(tmp_path / f"gateway{len(made)}", store, **kw))
        return made[-1]
    yield start
    for g in made:
        statuses = g.stop()
        assert not any(statuses), f"exit statuses after SIGTERM: {statuses}"


@pytest.fixture
def placed(gateway, nodes):
    return Placed(gateway, nodes)


@pytest.fixture
def raw():
    """raw(port, bytes) → bytes: see harness/raw.py."""
    return raw_call
