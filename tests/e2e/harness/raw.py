"""Bytes to a port and bytes back, for requests that no HTTP library would send."""
import socket


def raw(port, data, timeout=10.0, host="127.0.0.1", shut=False):
    """Sends data and returns all that comes back until the server closes. With shut the sending side
    is closed first. A server that neither answers nor closes in time is a failure (a hang)."""
    with socket.create_connection((host, port), timeout=timeout) as s:
        try:
            s.sendall(data)
            if shut:
                s.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may refuse before it has read everything
        got = b""
        while True:
            try:
                part = s.recv(65536)
            except ConnectionResetError:
                return got
            if not part:
                return got
            got += part


class Connection:
    """A connection on which a test sends and reads in steps."""

    def __init__(self, port, timeout=10.0, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def fill(self):
        part = self.socket.recv(65536)
        if not part:
            raise EOFError("the server closed the connection")
        self.buffer += part

    def response(self):
        """The next response with Content-Length or chunked body: (status, headers, body)."""
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, self.chunks()
        length = 0 if status in (204, 304) or status < 200 else int(headers.get("content-length", 0))
        return status, headers, self.take(length)

    def take(self, n):
        while len(self.buffer) < n:
            self.fill()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def chunks(self):
        body = b""
        while True:
            size = int(self.line(), 16)
            if not size:
                while self.line():
                    pass
                return body
            body += self.take(size)
            assert self.line() == b""
