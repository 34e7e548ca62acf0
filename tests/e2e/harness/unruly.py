"""A TCP relay in front of nodes that breaks connections in every way that a network and a dying process can. A
program of its own:

    unruly.py SEED HOST:PORT[=clean] ...

It prints "listening I PORT" for each target and then "ready". SIGUSR2: from now on no node is well and
nearly no answer comes through. SIGUSR1: from now on all connections are clean, and those that are not end. SIGTERM: it ends with a line of JSON, how often it has passed each UUID (version 4) on to a node
("seen"), and how often it did what ("did").

What a connection suffers is drawn when it is made, by the seed: nothing, or after some bytes of answers one of the
faults below."""
import asyncio
import collections
import json
import random
import re
import signal
import socket
import struct
import sys

UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
KEPT = 35  # bytes of what came before that may be the beginning of a UUID
NEVER = 1 << 60


class Connection:
    """It suffers `fault` once `after` bytes of answers have passed."""

    def __init__(self, relay, client):
        self.relay, self.client = relay, client
        self.fault, self.after, self.passed = None, NEVER, 0
        self.tail = b""

    # what a fault does with the bytes of an answer: returns whether the connection goes on

    async def hold(self, seconds):
        """Slowness is what is tested here."""
        await asyncio.wait((self.relay.never,), timeout=seconds)

    async def reset(self, data):
        self.client.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.transport.abort()
        return False

    async def half_close(self, data):
        """The gateway may still write, and is heard."""
        self.client.write_eof()
        await self.hold(5)
        return False

    async def garbage(self, data):
        self.client.write(b"\x00\xffGARBAGE\r\n\r\n" * 3)
        return True

    async def stall(self, data):
        await self.hold(20)
        return False

    async def drip(self, data):
        slow, rest = data[:400], data[400:]
        for i in range(0, len(slow), 7):
            self.client.write(slow[i:i + 7])
            await self.hold(0.01)
        self.client.write(rest)
        return True

    FAULTS = (reset, reset, half_close, garbage, stall, drip)

    def draw(self):
        r = self.relay.random
        if self.relay.clean or (not self.relay.rude and r.random() < 0.3):
            return
        self.fault = r.choice(self.FAULTS)
        if self.relay.rude:
            self.after = r.choice((0, r.randrange(60)))
            return
        # at once: before or within the first head; soon: in the middle of an exchange; or later
        self.after = r.choice((0, r.randrange(60), r.randrange(3000), r.randrange(300_000)))

    def count(self, data):
        text = self.tail + data
        self.relay.seen.update(m.decode() for m in UUID.findall(text))
        end = max((m.end() for m in UUID.finditer(text)), default=0)
        self.tail = text[max(end, len(text) - KEPT):]

    def fits(self, data):
        """Within an answer nobody could tell garbage from it: it comes instead of one."""
        if self.fault is Connection.garbage:
            self.after = min(self.after, self.passed)
            return self.passed == 0 or data.startswith(b"HTTP/1.1 ")
        return True

    async def upload(self, reader, writer):
        while data := await reader.read(65536):
            self.count(data)
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def download(self, reader):
        while data := await reader.read(65536):
            if self.passed + len(data) > self.after and self.fault and self.fits(data):
                k = max(self.after - self.passed, 0)
                self.client.write(data[:k])
                self.relay.did[self.fault.__name__] += 1
                fault, self.fault = self.fault, None
                if not await fault(self, data[k:]):
                    return
            else:
                self.client.write(data)
            self.passed += len(data)
            await self.client.drain()
        self.client.write_eof()


class Relay:
    def __init__(self, seed, target, clean):
        host, _, port = target.rpartition(":")
        self.host, self.port, self.clean = host, int(port), clean
        self.rude, self.never = False, asyncio.get_running_loop().create_future()
        self.random = random.Random(seed)
        self.seen, self.did = collections.Counter(), collections.Counter()
        self.open = {}

    async def serve(self, reader, writer):
        c = Connection(self, writer)
        c.draw()
        task = asyncio.current_task()
        self.open[task] = c
        node = None
        try:
            if c.fault and c.after == 0 and self.random.random() < 0.3:  # before a byte of the request is taken
                self.did["refuse"] += 1
                await c.reset(b"")
                return
            node_reader, node = await asyncio.open_connection(self.host, self.port)
            up = asyncio.ensure_future(c.upload(reader, node))
            down = asyncio.ensure_future(c.download(node_reader))
            try:
                await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
                if not down.done():
                    await asyncio.wait((down,), timeout=5)
            finally:
                for t in (up, down):
                    t.cancel()
                await asyncio.gather(up, down, return_exceptions=True)
        except OSError:
            pass
        finally:
            self.open.pop(task, None)
            for w in (node, writer):
                if w:
                    w.transport.abort()

    def calm(self):
        self.clean = True
        for task, c in list(self.open.items()):
            if c.fault or c.passed > c.after:
                task.cancel()

    def storm(self):
        self.clean, self.rude = False, True
        for task in list(self.open):
            task.cancel()


async def main(seed, targets):
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    relays = []
    for i, target in enumerate(targets):
        target, _, how = target.partition("=")
        relays.append(Relay(seed + i, target, how == "clean"))
        server = await asyncio.start_server(relays[-1].serve, "127.0.0.1", 0, limit=1 << 20)
        print("listening", i, server.sockets[0].getsockname()[1])
    loop.add_signal_handler(signal.SIGUSR1, lambda: [r.calm() for r in relays])
    loop.add_signal_handler(signal.SIGUSR2, lambda: [r.storm() for r in relays])
    loop.add_signal_handler(signal.SIGTERM, over.set)
    print("ready", flush=True)
    await over.wait()
    seen, did = collections.Counter(), collections.Counter()
    for r in relays:
        seen.update(r.seen)
        did.update(r.did)
    print(json.dumps({"seen": seen, "did": did}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
