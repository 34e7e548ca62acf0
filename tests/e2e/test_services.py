"""The services that the suite starts for gatewayd: they must themselves behave before a test can
blame the gateway."""
import pytest

from harness import process
from harness.gateway import nested
from harness.process import Process, sanitizer_report
from harness.wait import until


def test_rqlite_writes_survive_a_killed_leader(rqlite3):
    rqlite3.execute(["CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT"])
    acknowledged = []
    for n in range(20):
        rqlite3.execute(["INSERT INTO t(n) VALUES (?)", n])
        acknowledged.append(n)
    dead = rqlite3.kill_leader()
    assert rqlite3.leader() is not dead

    def write():
        return rqlite3.execute(["INSERT OR IGNORE INTO t(n) VALUES (?)", 20])
    until(write, what="a write after the leader died")
    assert [r[0] for r in rqlite3.query("SELECT n FROM t ORDER BY n")] == acknowledged + [20]
    rqlite3.restart(dead)
    assert len(rqlite3.alive()) == 3

    def caught_up():
        return len(rqlite3.query("SELECT n FROM t", level="none", node=dead)) == 21
    until(caught_up, what="the restarted node to catch up")


def test_rqlite_failures_are_failures(rqlite3):
    with pytest.raises(AssertionError, match="syntax error"):
        rqlite3.execute(["CREATE NONSENSE"])


def test_nats_delivers_and_survives_a_crash(nats):
    with nats.client() as reader, nats.client() as writer:
        reader.subscribe("poke.>")
        writer.publish("poke.change", b"4711")
        assert reader.message() == ("poke.change", b"4711")
    port = nats.port
    nats.kill()
    nats.start()
    with nats.client() as c:
        assert nats.port == port and c.info["jetstream"] is True


def test_a_program_that_ends_early_is_reported_with_its_output(tmp_path):
    p = Process("early", ["/bin/sh", "-c", "echo why; exit 3"], tmp_path).start()
    with pytest.raises(AssertionError, match="(?s)early ended with status 3.*why"):
        p.expect("never")


def test_configuration_keys_become_a_tree():
    assert nested({"a.b": 1, "a.c.d": 2, "e": 3}) == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}


def test_a_sanitizer_report_is_seen(tmp_path):
    p = Process("racy", ["/bin/echo", "WARNING: ThreadSanitizer: data race (pid=1)"], tmp_path).start()
    p.wait()
    assert "data race" in p.sanitizer_report()
    process.started.remove(p)  # it would fail this test
    assert not sanitizer_report("calm", "WARNING: nothing")
