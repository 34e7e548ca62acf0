"""A real SMTP server (aiosmtpd) as a process of its own, that can be told to misbehave and be killed."""
import email
import email.policy
import json
import os

from . import ports
from .process import Process


class Mail:
    """One mail as the server took it."""

    def __init__(self, entry):
        self.sender, self.recipients = entry["sender"], entry["recipients"]
        self.tls, self.user, self.smtputf8 = entry["tls"], entry["user"], entry["smtputf8"]
        self.raw = entry["mail"].encode("latin-1")
        self.message = email.message_from_bytes(self.raw, policy=email.policy.default)
        self.text = self.message.get_content()

    @property
    def id(self):
        return self.message["message-id"]


class Smtp:
    def __init__(self, directory, mode="plain", certificate=None, credentials=None):
        """mode: plain, starttls (demanded) or tls; credentials: (user, password) that are demanded."""
        self.directory = directory
        self.journal = directory / "smtp-journal"
        self.behaviour = directory / "smtp-behaviour.json"
        config = directory / "smtp.json"
        self.port = ports.free()[0]
        config.write_text(json.dumps({
            "port": self.port, "mode": mode, "certificate": certificate and [str(c) for c in certificate],
            "credentials": credentials, "journal": str(self.journal), "behaviour": str(self.behaviour)}))
        self.behave()
        program = os.path.join(os.path.dirname(__file__), "smtpd.py")
        self.process = Process("smtpd", ["/usr/bin/python3", program, config], directory)

    def behave(self, hold=False, **replies):
        """What it does from now on: replies to MAIL, DATA or (by address) a recipient; hold: it takes a
        mail and then says nothing."""
        new = self.behaviour.with_suffix(".new")
        new.write_text(json.dumps({"hold": hold, "replies": replies}))
        new.rename(self.behaviour)

    def start(self):
        self.process.start()
        self.process.expect("^listening$")
        return self

    def kill(self):
        self.process.kill()

    def entries(self):
        if not self.journal.exists():
            return []
        lines = self.journal.read_text().split("\n")
        return [json.loads(line) for line in lines[:-1]]  # behind the last newline: nothing, or half a line

    def mails(self):
        return [Mail(e) for e in self.entries() if "mail" in e]

    def commands(self):
        return [e["command"] for e in self.entries() if "command" in e]
