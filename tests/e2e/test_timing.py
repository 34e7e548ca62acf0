"""Accounts that exist and such that do not are told apart by nobody: neither by what is answered nor by the time
that it takes. `bare`: the work itself is alike, to be seen because hashes are cheap here and nothing is hidden by
auth.answer_floor; it is the processor's time that is compared, or a machine that has other things to do would decide.
`floor`: with it there is nothing left to see. GW_TIMING_SAMPLES=1000 (`make timing`) is the long version."""
import base64
import itertools
import os
import uuid

import pytest

from harness.timing import Sampler, processor_time, shuffled, told_apart, uneven
from harness.wait import until
from test_import import argon2, scrypt
from test_mfa import totp

SAMPLES = int(os.environ.get("GW_TIMING_SAMPLES", 120))
ACCOUNTS = 10  # of each class, in turns
PASSWORD = "seven purple otters juggle"
CONFIG = {
    "auth.signup": "verify",
    "auth.argon2.memory_kib": 512,  # cheap, but more than all else together
    "auth.argon2.iterations": 2,
    "auth.allow_basic_without_tls": True,
    "limits.attempts_per_address": 0,  # counted, never refused
    "limits.attempts_per_account": 0,
    "access_log": False,
    "workers": 1,
}
WAYS = {  # store, floor, share of SAMPLES
    "bare": ("sqlite", "0s", 1),
    "floor": ("sqlite", "15ms", 0.5),
    "floor on rqlite": ("rqlite", "40ms", 0.25),
}


class World:
    def __init__(self, gateway, way):
        store, floor, share = WAYS[way]
        self.bare = way == "bare"
        self.samples = max(int(SAMPLES * share), 25)
        self.gw = gateway(store, config={**CONFIG, "auth.answer_floor": floor})
        self.root = self.gw.signin()["access_token"]
        self.accounts = ACCOUNTS
        replica = self.gw.replicas[0]
        clock = [processor_time(replica.process.pid)] if self.bare else []
        self.sampler = Sampler(replica.address["http"], *clock)

    def addresses(self, name, n=None):
        return [f"{name}{i}-{uuid.uuid4().hex[:8]}@example.test" for i in range(n or self.accounts)]

    def made(self, name, then=None, **body):
        found = self.addresses(name)
        for address in found:
            user = self.gw.admin("POST", "/admin/users", self.root, {"email": address, **body})
            if then:
                then(user)
        return found

    def disable(self, user):
        self.gw.admin("PATCH", f"/admin/users/{user['id']}", self.root, {"disabled": True})

    def enrol(self, user):
        token = self.gw.signin(user["email"], PASSWORD)["access_token"]
        secret = self.gw.call("POST", "/v1/auth/mfa/totp/enroll", token=token, json={}).json()["secret"]
        r = self.gw.call("POST", "/v1/auth/mfa/totp/confirm", token=token, json={"code": totp(secret)})
        assert r.status_code == 200, r.text

    def waiting(self):
        found = self.addresses("waits")
        for address in found:
            r = self.gw.call("POST", "/v1/auth/signup", json={"email": address, "password": PASSWORD})
            assert r.status_code == 202, r.text
        return found

    def imported(self):
        """With hashes of elsewhere, cheaper than ours and dearer."""
        found = self.addresses("imported")
        hashes = [argon2(memory=512, passes=1), scrypt("phc", ln=11)]
        self.gw.admin("POST", "/admin/users:import", self.root, {"items": [
            {"email": address, "password_hash": hashes[i % 2]} for i, address in enumerate(found)]})
        return found

    def people(self, *classes):
        """{class: addresses}"""
        make = {
            "known": lambda: self.made("known", password=PASSWORD),
            "unknown": lambda: self.addresses("unknown"),
            "disabled": lambda: self.made("disabled", self.disable, password=PASSWORD),
            "no password": lambda: self.made("nopassword"),
            "second factor": lambda: self.made("factor", self.enrol, password=PASSWORD),
            "waits for link": self.waiting,
            "imported": self.imported,
        }
        return {name: make[name]() for name in classes}

    def take(self, people, call):
        """{class: seconds}; every class's addresses are taken in turns."""
        def of(found):
            turns = itertools.cycle(found)
            return lambda: call(next(turns))
        return shuffled({name: found if callable(found) else of(found) for name, found in people.items()},
                        self.samples)

    def judge(self, took, reference, bar=1.2):
        """Bare, classes differ by up to 6 %, on a busy machine by up to 8. Without the hash of an account that does
        not exist it would be 180 %, without the count of its attempts 35 %."""
        if self.bare:
            assert not uneven(took, bar)
        else:
            assert not told_apart(took, reference)

    def post(self, path, body, **kw):
        return self.sampler.post(f"/v1/auth/{path}", body, **kw)


@pytest.fixture(params=WAYS)
def world(gateway, request):
    return World(gateway, request.param)


def test_a_wrong_password(world):
    people = world.people("known", "unknown", "disabled", "no password", "second factor", "waits for link",
                          *[] if world.bare else ["imported"])
    took = world.take(people, lambda address: world.post("signin", {"email": address, "password": "not the right one"}))
    world.judge(took, "unknown")


def test_a_right_password_of_somebody_who_may_not_come_in(world):
    people = world.people("unknown", "disabled", "waits for link")
    took = world.take(people, lambda address: world.post("signin", {"email": address, "password": PASSWORD}))
    world.judge(took, "unknown")


def test_basic_credentials(world):
    def call(address):
        text = base64.b64encode(f"{address}:not the right one".encode()).decode()
        return world.sampler.post("/v1/commands/order/1", {}, {"authorization": f"Basic {text}", "x-tenant-id": "acme"})
    people = world.people("known", "unknown", "disabled", "no password", "second factor")
    world.judge(world.take(people, call), "unknown")


def test_a_forgotten_password(world):
    people = world.people("known", "unknown", "disabled", "no password", "waits for link")
    took = world.take(people, lambda address: world.post("forgot", {"email": address}))
    world.judge(took, "unknown")


def test_a_sign_up(world):
    """A new account is a row more: a fifth of the bare work here, which only the floor hides. A hash or a write left
    out is 70 % and more. No address is asked for twice there: whoever has just had a letter gets no other, and that
    writes nothing."""
    if world.bare:
        world.accounts = world.samples
        world.gw.replicas[0].reload(auth__argon2__memory_kib=1024)
        until(lambda: any(e.get("msg") == "reloaded" for e in world.gw.replicas[0].log()))
    call = lambda address: world.post("signup", {"email": address, "password": PASSWORD})  # noqa: E731
    people = world.people("known", "disabled", "waits for link")
    people["new"] = lambda: call(world.addresses("new", 1)[0])
    world.judge(world.take(people, call), "new", 1.4)
