"""The program behind harness/smtp.py: aiosmtpd, as told by the JSON file named on the command line.
Appends a JSON line to `journal` for each command and each mail; reads `behaviour` at every command, so
that a test changes the replies of a running server."""
import asyncio
import json
import logging
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

with open(sys.argv[1]) as f:
    config = json.load(f)


def behaviour():
    with open(config["behaviour"]) as file:
        return json.load(file)


def note(**entry):
    with open(config["journal"], "a") as file:
        file.write(json.dumps(entry) + "\n")


class Handler:
    async def handle_MAIL(self, server, session, envelope, address, options):
        note(command="MAIL", address=address)
        if reply := behaviour()["replies"].get("MAIL"):
            return reply
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        note(command="RCPT", address=address)
        if reply := behaviour()["replies"].get(address):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        content = envelope.content.decode("latin-1")
        if reply := behaviour()["replies"].get("DATA"):
            note(command="DATA")
            return reply.replace("CONTENT", content.replace("\r\n", " "))
        note(mail=content, sender=envelope.mail_from, recipients=envelope.rcpt_tos, tls=config["mode"] == "tls" or session.ssl is not None,
             user=session.auth_data, smtputf8=bool(envelope.smtp_utf8))
        while behaviour()["hold"]:
            # the mail is taken, but the client does not learn of it
            await asyncio.sleep(0.01)  # lint: poll
        return "250 OK"


def authenticate(server, session, envelope, mechanism, auth_data):
    given = [auth_data.login.decode(), auth_data.password.decode()]
    note(command="AUTH", tls=session.ssl is not None)
    return AuthResult(success=given == config["credentials"], auth_data=given[0])


def context():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(*config["certificate"])
    return c


def server(tls):
    kw = {"enable_SMTPUTF8": True, "hostname": "mail.localhost"}
    if config["mode"] == "starttls":
        kw.update(tls_context=tls, require_starttls=True)
    if config["credentials"]:
        kw.update(authenticator=authenticate, auth_required=True,  # it does not see TLS that was there from the start
                  auth_require_tls=config["mode"] == "starttls")
    return SMTP(Handler(), **kw)


async def main():
    tls = context() if config["certificate"] else None
    listening = await asyncio.get_running_loop().create_server(
        lambda: server(tls), "127.0.0.1", config["port"], ssl=tls if config["mode"] == "tls" else None)
    print("listening", flush=True)
    await listening.serve_forever()

logging.disable(logging.CRITICAL)
asyncio.run(main())
