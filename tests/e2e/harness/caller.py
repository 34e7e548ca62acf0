"""Requests on kept connections that can be begun and ended apart, so that several are on their way at
the same time, microseconds after each other, without threads."""
import collections
import json
import select

from .raw import Connection


class Caller:
    """Of one thread."""

    def __init__(self, gw, timeout=60):
        self.gw, self.timeout = gw, timeout
        self.ports = [(r.port(), r.port("admin")) for r in gw.replicas]
        self.idle = collections.defaultdict(list)

    def take(self, replica, admin):
        kept = self.idle[replica, admin]
        return kept.pop() if kept else Connection(self.ports[replica][admin], timeout=self.timeout)

    def begin(self, replica, method, path, body=None, token=None, match=None):
        """Sends a request, one below /admin to that listener; what to end() it with."""
        admin = path.startswith("/admin")
        c = self.take(replica, admin)
        data = json.dumps(body).encode() if body is not None else b""
        head = f"{method} {path} HTTP/1.1\r\nhost: gateway\r\ncontent-length: {len(data)}\r\n"
        head += "content-type: application/json\r\n" if body is not None else ""
        head += f"authorization: Bearer {token}\r\n" if token else ""
        head += f"if-match: {match}\r\n" if match else ""
        c.send(head.encode() + b"\r\n" + data)
        return replica, admin, c

    def end(self, begun):
        """The answer: status, JSON, etag."""
        replica, admin, c = begun
        status, headers, body = c.response()
        self.idle[replica, admin].append(c)
        assert status < 500, (status, body)
        return status, json.loads(body) if body else {}, headers.get("etag")

    def call(self, *args, **kw):
        """Status and JSON."""
        return self.end(self.begin(*args, **kw))[:2]

    def let_pass(self, begun, seconds):
        """Some time, or less when the answer is there."""
        select.select([begun[2].socket], [], [], seconds)

    def must(self, *args, **kw):
        """The JSON of a call that succeeds."""
        status, answer = self.call(*args, **kw)
        assert status < 300, (args, status, answer)
        return answer

    def signin(self, address, password, replica=0):
        return self.must(replica, "POST", "/v1/auth/signin", {"email": address, "password": password})

    def me(self, replica, tokens):
        """The status of /v1/me."""
        return self.call(replica, "GET", "/v1/me", None, tokens["access_token"])[0]
