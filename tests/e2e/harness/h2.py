"""HTTP/2 as frames over a raw socket: for what no client library can be made to send."""
import socket
import struct

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK, PADDED = 1, 4, 1, 8
PROTOCOL, FLOW, CLOSED, SIZE, REFUSED, COMPRESSION, CALM = 1, 3, 5, 6, 7, 9, 11


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(*pairs):
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", k, v) for k, v in pairs))


class Client:
    """Sends what it is told and keeps what comes."""

    def __init__(self, port, first=settings()):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.buffer = b""
        self.send(PREFACE + first)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # what it said before is what counts

    def block(self, *fields, method="GET", path="/health"):
        base = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "h")]
        return self.encoder.encode(base + list(fields))

    def request(self, stream, *fields, flags=END_STREAM, **kw):
        self.send(frame(HEADERS, flags | END_HEADERS, stream, self.block(*fields, **kw)))

    def frames(self):
        """Frames until the server closes."""
        while True:
            while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
                try:
                    part = self.socket.recv(65536)
                except ConnectionResetError:
                    return
                if not part:
                    return
                self.buffer += part
            n = int.from_bytes(self.buffer[:3], "big")
            kind, flags = self.buffer[3], self.buffer[4]
            stream = int.from_bytes(self.buffer[5:9], "big")
            payload, self.buffer = self.buffer[9:9 + n], self.buffer[9 + n:]
            if kind == SETTINGS and not flags & ACK:
                self.send(frame(SETTINGS, ACK))
            yield kind, flags, stream, payload

    def response(self, stream):
        """(headers, body) of a stream; or (None, error code) when it was reset."""
        headers, body = {}, b""
        for kind, flags, on, payload in self.frames():
            if kind == HEADERS:
                fields = dict(self.decoder.decode(payload))
                if on == stream:
                    headers.update(fields)
            if on != stream:
                continue
            if kind == DATA:
                body += payload
            if kind == RST:
                return None, struct.unpack(">I", payload)[0]
            if flags & END_STREAM and kind in (DATA, HEADERS):
                return headers, body
        raise EOFError("the server closed the connection")

    def goaway(self):
        """The error code of the GOAWAY; the connection must then be closed. None: closed without one."""
        code = None
        for kind, _, _, payload in self.frames():
            if kind == GOAWAY:
                code = struct.unpack(">I", payload[4:8])[0]
        return code
