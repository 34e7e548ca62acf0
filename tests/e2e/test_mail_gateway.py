"""The gateway itself before a real SMTP server: over TLS of both kinds, through an outage and kill -9, with
templates of the operator."""
import email
import email.policy
import subprocess

import pytest

from harness.gateway import wait_for
from harness.paths import GATEWAYD, program
from test_mail import smtp  # noqa: F401  (a fixture)
from test_mail_flows import PASSWORD, post, signin, signup, token


def start(gateway, authority, server, scheme, **config):  # noqa: F811
    (authority.directory / "mail-password").write_text("pass word")
    return gateway(
        config={"auth.signup": "verify", "mail.url": f"{scheme}://mail.localhost:{server.port}",
                "mail.ca": str(authority.cert), "mail.user": "gate", "mail.from": "gateway@corp.test", **config},
        env={"GATEWAYD_MAIL_PASSWORD_FILE": str(authority.directory / "mail-password")})


def mail_to(gw, server, address):
    return wait_for(gw, lambda: [m for m in server.mails() if m.recipients == [address]],
                    300, f"mail to {address}")[0]  # a mail that was under way at a kill waits for its lease: three minutes


@pytest.mark.parametrize("mode, scheme", [("starttls", "smtp"), ("tls", "smtps")])
def test_a_link_comes_over_tls_and_through_an_outage_and_a_kill(gateway, smtp, authority, mode, scheme):  # noqa: F811
    server = smtp(mode=mode, certificate=authority.issue("mail.localhost", "DNS:mail.localhost"),
                  credentials=("gate", "pass word"))
    gw = start(gateway, authority, server, scheme)
    signup(gw, "ann@x.test")
    mail = mail_to(gw, server, "ann@x.test")
    assert mail.tls and mail.user == "gate" and mail.sender == "gateway@corp.test"
    assert post(gw, "verify", {"token": token(mail.message)}).status_code == 204
    assert signin(gw, "ann@x.test").status_code == 200
    # what was promised with a 202 is kept, though server and gateway are killed before it is sent
    server.kill()
    signup(gw, "bo@x.test")
    wait_for(gw, lambda: any(e.get("msg") == "mail deferred" for e in gw.replicas[0].log()))
    gw.kill()
    server.start()
    gw.replicas[0].start()
    mail = mail_to(gw, server, "bo@x.test")
    assert post(gw, "verify", {"token": token(mail.message)}).status_code == 204
    assert signin(gw, "bo@x.test").status_code == 200
    assert "pass word" not in gw.replicas[0].process.output()


def test_templates_are_files(gateway, tmp_path):
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "verify.txt").write_text("Subject: Dobrý den\n\nKlikněte: {{link}}\n", encoding="utf-8")
    gw = gateway(config={"auth.signup": "verify", "mail.templates": str(templates), "mail.link_base": "https://app.test/go"})
    signup(gw, "ann@x.test")
    [path] = wait_for(gw, lambda: list((gw.directory / "mail").glob("[!.]*.eml")))
    m = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert m["subject"] == "Dobrý den" and m.get_content().startswith("Klikněte: https://app.test/go?token=")
    assert post(gw, "verify", {"token": token(m)}).status_code == 204
    (templates / "verify.txt").write_text("Subject: x\n\n{{nonsense}}\n")
    p = subprocess.run([program(GATEWAYD), "-c", gw.replicas[0].config_path, "--check"], capture_output=True, text=True,
                       env=gw.env, cwd=gw.directory)
    assert p.returncode != 0 and "verify.txt" in p.stderr and "nonsense" in p.stderr
