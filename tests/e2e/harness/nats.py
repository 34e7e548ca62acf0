"""A real nats-server with JetStream, in a directory of its own."""
import json
import socket

from . import ports
from .paths import program
from .process import Process
from .wait import until


class Nats:
    def __init__(self, directory):
        self.directory = directory
        self.port = ports.free()[0]
        self.process = Process("nats-server", [program("nats-server"), "-a", "127.0.0.1", "-p", self.port, "-js",
                                               "-sd", directory / "jetstream"], directory)
        self.start()

    def start(self):
        """Starts it, after a crash on the same port as before."""
        self.process.start()
        until(self.hello, what="nats-server")
        return self

    def hello(self):
        with Client(self.port) as c:
            return c.info

    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"

    def client(self):
        return Client(self.port)

    def kill(self):
        self.process.kill()

    def stop(self):
        return self.process.stop()


class Client:
    """As much of the NATS protocol as the tests need: publish, subscribe, read."""

    def __init__(self, port, timeout=60):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.file = self.socket.makefile("rb")
        self.info = json.loads(self.file.readline().split(b" ", 1)[1])
        self.send(b'CONNECT {"verbose":false,"lang":"test","version":"1"}\r\n')
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def flush(self):
        """Until the server has seen everything sent before."""
        self.send(b"PING\r\n")
        while (line := self.file.readline()) != b"PONG\r\n":
            assert line and not line.startswith(b"-ERR"), line

    def publish(self, subject, data=b""):
        self.send(b"PUB %s %d\r\n%s\r\n" % (subject.encode(), len(data), data))

    def subscribe(self, subject):
        self.send(b"SUB %s 1\r\n" % subject.encode())
        self.flush()

    def message(self):
        """The next message: (subject, data)."""
        while True:
            line = self.file.readline()
            assert line, "nats-server closed the connection"
            if line == b"PING\r\n":
                self.send(b"PONG\r\n")
            elif line.startswith(b"MSG "):
                parts = line.split()
                data = self.file.read(int(parts[-1]) + 2)[:-2]
                return parts[1].decode(), data
