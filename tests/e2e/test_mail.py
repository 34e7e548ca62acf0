"""Mail from the queue to a real SMTP server, through failures and kill -9. The mail room runs as a
program of its own (tests/mail) on a store file; no token may be in any of its output."""
import email
import email.policy
import os
import subprocess

import pytest

from harness.paths import ROOT, VARIANT, program
from harness.process import Process
from harness.smtp import Smtp
from harness.wait import until

MAILER = os.path.join(ROOT, "build", VARIANT, "mailer")
TOKEN = "CanaryCanaryCanaryCanary"
QUICK = ["poll=50", "retry=100", "lease=60000", "timeout=20000"]


class Mailer:
    def __init__(self, directory, store=None):
        self.directory = directory
        self.store = store or f"sqlite:{directory / 'mail.db'}"
        self.started = []

    def add(self, to="ada@example.test", kind="reset", n=1):
        tokens = [f"{TOKEN}{i}" for i in range(n)]
        p = subprocess.run([program(MAILER), self.store, "add", kind, to, *tokens], capture_output=True, text=True,
                           cwd=self.directory, timeout=60)
        assert p.returncode == 0, p.stderr

    def sender(self, url, *options, name="mailer", quick=True):
        p = Process(f"{name}{len(self.started)}", [program(MAILER), self.store, "send", url, *(QUICK if quick else []), *options],
                    self.directory, cwd=self.directory)
        self.started.append(p)
        p.start()
        p.expect('"msg":"ready"')
        return p

    def rows(self, columns="count(*)"):
        out = subprocess.run(["sqlite3", "-readonly", self.store[7:], f"SELECT {columns} FROM mail"],
                             capture_output=True, text=True, check=True)
        return out.stdout.strip()

    def empty(self):
        return self.rows() == "0"


@pytest.fixture
def mailer(tmp_path):
    m = Mailer(tmp_path)
    yield m
    for p in m.started:
        p.stop()
        assert TOKEN not in p.output()


@pytest.fixture
def smtp(tmp_path):
    """A factory of servers."""
    def start(**kw):
        return Smtp(tmp_path, **kw).start()
    return start


def url(server, host="localhost", scheme="smtp"):
    return f"{scheme}://{host}:{server.port}"


def test_a_mail_is_delivered_once_and_reads_as_it_should(mailer, smtp):
    server = smtp()
    mailer.add(n=3)
    sender = mailer.sender(url(server))
    until(mailer.empty)
    mails = server.mails()
    assert len(mails) == 3 and len({m.id for m in mails}) == 3
    mail = mails[0]
    assert mail.sender == "gateway@example.test" and mail.recipients == ["ada@example.test"]
    assert mail.message["subject"] == "Reset your password"
    assert mail.message["from"].addresses[0].display_name == "Gateway"
    assert mail.message["to"].addresses[0].addr_spec == "ada@example.test"
    assert mail.message["auto-submitted"] == "auto-generated"
    assert mail.message["date"].datetime.utcoffset().total_seconds() == 0
    assert not mail.message.defects
    assert sorted(m.text.split("token=")[1].split()[0] for m in mails) == [f"{TOKEN}{i}" for i in range(3)]
    sender.stop()
    assert 'gateway_mail_sent_total{outcome="sent"} 3' in sender.output()


def test_a_mail_outside_ascii_arrives(mailer, smtp):
    server = smtp()
    mailer.add(to="jürgen@example.test")
    mailer.sender(url(server))
    until(mailer.empty)
    [mail] = server.mails()
    assert mail.recipients == ["jürgen@example.test"] and mail.smtputf8
    assert "jürgen@example.test" in mail.text and f"token={TOKEN}0" in mail.text


def test_mail_waits_while_the_server_is_down(mailer, smtp):
    server = smtp()
    server.kill()
    mailer.add()
    sender = mailer.sender(url(server))
    until(lambda: sender.output().count("mail deferred") >= 2, what="two attempts")
    server.start()
    until(mailer.empty)
    assert len(server.mails()) == 1


def test_a_server_that_goes_away_between_two_mails_is_found_again(mailer, smtp):
    server = smtp()
    mailer.add()
    mailer.sender(url(server))
    until(mailer.empty)
    server.kill()
    server.start()
    mailer.add()
    until(lambda: len(server.mails()) == 2)


def test_a_recipient_that_is_refused_for_now_is_tried_again_and_holds_up_nobody(mailer, smtp):
    server = smtp()
    server.behave(**{"busy@example.test": "450 4.2.1 mailbox busy"})
    mailer.add(to="busy@example.test")
    mailer.add(to="ada@example.test")
    sender = mailer.sender(url(server))
    until(lambda: [m.recipients for m in server.mails()] == [["ada@example.test"]])
    until(lambda: sender.output().count("mail deferred") >= 2)
    assert "450 4.2.1 mailbox busy" in sender.output()
    server.behave()
    until(mailer.empty)
    assert len(server.mails()) == 2


def test_a_recipient_that_does_not_exist_is_given_up_at_once(mailer, smtp):
    server = smtp()
    server.behave(**{"nobody@example.test": "550 5.1.1 no such user"})
    mailer.add(to="nobody@example.test")
    mailer.add(to="ada@example.test")
    sender = mailer.sender(url(server))
    until(lambda: len(server.mails()) == 1)
    until(lambda: "mail given up" in sender.output())
    until(lambda: "1" in mailer.rows("failed_at IS NOT NULL"))  # it is said before it is stored
    assert mailer.rows("failed_at IS NOT NULL, body IS NULL, attempts, last_error") == \
        "1|1|1|the server says: 550 5.1.1 no such user"


def test_a_sender_that_is_refused_is_nobodys_fault(mailer, smtp):
    server = smtp()
    server.behave(MAIL="550 5.7.1 not from here")
    mailer.add()
    sender = mailer.sender(url(server))
    until(lambda: sender.output().count("mail deferred") >= 2)
    server.behave()
    until(mailer.empty)
    assert len(server.mails()) == 1


def test_a_refusal_that_quotes_the_text_leaks_nothing(mailer, smtp):
    server = smtp()
    server.behave(DATA="554 5.7.1 rejected: CONTENT")
    mailer.add()
    sender = mailer.sender(url(server))
    until(lambda: "mail given up" in sender.output())
    until(lambda: "1" in mailer.rows("failed_at IS NOT NULL"))  # it is said before it is stored
    assert mailer.rows("last_error") == "the server answers 554"
    with open(mailer.store[7:], "rb") as f:
        assert TOKEN.encode() not in f.read()


def test_old_mail_is_given_up(mailer, smtp):
    server = smtp()
    server.kill()
    mailer.add()
    sender = mailer.sender(url(server), "give-up=300")
    until(lambda: "mail given up" in sender.output())
    until(lambda: "1" in mailer.rows("failed_at IS NOT NULL"))  # it is said before it is stored
    assert mailer.rows("failed_at IS NOT NULL, body IS NULL") == "1|1"
    server.start()
    sender.stop()
    assert 'outcome="failed"} 1' in sender.output()
    assert server.mails() == []


# ---- TLS --------------------------------------------------------------------------------------------


def test_starttls_and_a_password(mailer, smtp, authority, tmp_path):
    server = smtp(mode="starttls", certificate=authority.issue("mail.localhost", "DNS:mail.localhost"),
                  credentials=("gate", "pass word"))
    (tmp_path / "password").write_text("pass word")
    mailer.add()
    sender = mailer.sender(url(server, "mail.localhost"), f"ca={authority.cert}", "user=gate", "password-file=password")
    until(mailer.empty)
    [mail] = server.mails()
    assert mail.tls and mail.user == "gate"
    assert "pass word" not in sender.output()


def test_smtps(mailer, smtp, authority):
    server = smtp(mode="tls", certificate=authority.issue("mail.localhost", "DNS:mail.localhost"))
    mailer.add()
    mailer.sender(url(server, "mail.localhost", "smtps"), f"ca={authority.cert}")
    until(mailer.empty)
    assert server.mails()[0].tls


def assert_nothing_is_said(mailer, server, sender):
    until(lambda: sender.output().count("mail deferred") >= 2)
    assert server.mails() == [] and server.commands() == []
    assert mailer.rows() == "1"


def test_without_starttls_nothing_is_sent_in_the_clear(mailer, smtp, tmp_path):
    server = smtp(credentials=("gate", "pass word"))
    (tmp_path / "password").write_text("pass word")
    mailer.add()
    sender = mailer.sender(url(server, "mail.localhost"), "user=gate", "password-file=password")
    assert_nothing_is_said(mailer, server, sender)


def test_a_certificate_of_another_authority_or_name_is_refused(mailer, smtp, authority):
    server = smtp(mode="starttls", certificate=authority.issue("other", "DNS:other.localhost"))
    mailer.add()
    sender = mailer.sender(url(server, "mail.localhost"), f"ca={authority.cert}")
    assert_nothing_is_said(mailer, server, sender)
    sender.stop()
    sender = mailer.sender(url(server, "other.localhost"))  # the system does not know the authority
    assert_nothing_is_said(mailer, server, sender)


@pytest.mark.parametrize("bad,why", [
    ("smtp://user:secret@localhost:25", "mail.user"), ("smtp://user@localhost", "mail.user"),
    ("smtp://", "must be"), ("http://localhost", "must be"), ("smtp://localhost?x=y", "query"),
    ("spool:", "directory")])
def test_urls_that_are_refused(mailer, bad, why):
    p = subprocess.run([program(MAILER), mailer.store, "send", bad], capture_output=True, text=True, cwd=mailer.directory,
                       timeout=60)
    assert p.returncode == 1 and why in p.stderr and "secret" not in p.stderr


# ---- kill -9 and two replicas ------------------------------------------------------------------------


def test_a_kill_before_the_server_has_answered_loses_nothing(mailer, smtp):
    server = smtp()
    server.behave(hold=True)
    mailer.add()
    sender = mailer.sender(url(server), "lease=2000")
    until(lambda: len(server.mails()) == 1)
    sender.kill()
    assert mailer.rows() == "1"
    server.behave()
    mailer.sender(url(server))
    until(mailer.empty)
    first, second = server.mails()
    assert first.raw == second.raw  # the same mail, with the same Message-ID


def test_kills_in_a_stream_of_mail_lose_nothing(mailer, smtp):
    server = smtp()
    total, kills = 200, 0
    mailer.add(n=total)
    while not mailer.empty():
        sender = mailer.sender(url(server), "lease=300")
        seen = len(server.mails())
        until(lambda: len(server.mails()) >= seen + 5 or mailer.empty())
        sender.kill()
        kills += 1
    mails = server.mails()
    assert {m.text.split("token=")[1].split()[0] for m in mails} == {f"{TOKEN}{i}" for i in range(total)}
    assert kills > 1 and len(mails) <= total + kills  # at most the one under way at each kill comes twice


def test_two_replicas_share_the_queue_and_send_nothing_twice(mailer, smtp):
    server = smtp()
    mailer.add(n=100)
    senders = [mailer.sender(url(server), "lease=60000") for _ in range(2)]
    until(mailer.empty)
    mails = server.mails()
    assert len(mails) == 100 and len({m.id for m in mails}) == 100
    for s in senders:
        assert '"msg":"mail sent"' in s.output()


def test_replicas_on_rqlite_lose_nothing_with_the_leader(mailer, smtp, rqlite3):
    server = smtp()
    mailer.store = rqlite3.store_url
    mailer.add(n=40)
    for _ in range(2):
        mailer.sender(url(server), "lease=30000")
    until(lambda: len(server.mails()) >= 10)
    rqlite3.kill_leader()
    until(lambda: rqlite3.query("SELECT count(*) FROM mail") == [[0]], 120)
    texts = [m.text.split("token=")[1].split()[0] for m in server.mails()]
    assert set(texts) == {f"{TOKEN}{i}" for i in range(40)}
    assert len(texts) <= 42  # those whose end could not be written before their lease was over


def test_a_stop_hands_the_mail_under_way_back(mailer, smtp):
    server = smtp()
    server.behave(hold=True)
    mailer.add()
    sender = mailer.sender(url(server), "timeout=60000", "lease=120000")
    until(lambda: len(server.mails()) == 1)
    assert sender.stop() == 0
    server.behave()
    mailer.sender(url(server))  # although the lease has long to go
    until(mailer.empty)


# ---- the spool ---------------------------------------------------------------------------------------


def test_the_spool_has_a_file_a_mail(mailer, tmp_path):
    mailer.add(n=2)
    sender = mailer.sender("spool:out")
    until(mailer.empty)
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) == 2 and all(f.name.endswith(".eml") for f in files)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    for f in files:
        assert f.stat().st_mode & 0o777 == 0o600
        message = email.message_from_bytes(f.read_bytes(), policy=email.policy.default)
        assert not message.defects and message["subject"] == "Reset your password"
        assert f.name == message["message-id"][1:].split("@")[0] + ".eml"
        assert b"\r" not in f.read_bytes()
    assert sender.stop() == 0


def test_a_spool_that_cannot_be_written_loses_nothing(mailer, tmp_path):
    (tmp_path / "out").write_text("in the way")
    mailer.add()
    sender = mailer.sender("spool:out")
    until(lambda: "mail deferred" in sender.output())
    (tmp_path / "out").unlink()
    until(mailer.empty)
    assert len(list((tmp_path / "out").iterdir())) == 1
