"""gwctl on a terminal of its own, for what only happens there."""
import os
import pty
import select

from .paths import GWCTL, program
from .wait import until


class Terminal:
    def __init__(self, gateway, *args, env=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(program(GWCTL), ["gwctl", *map(str, args)],
                       {**os.environ, **gateway.env, "LC_ALL": "C.UTF-8", **(env or {})})
        self.seen = ""

    def expect(self, text):
        def look():
            if select.select([self.fd], [], [], 0)[0]:
                try:
                    self.seen += os.read(self.fd, 65536).decode()
                except OSError:  # the other side is closed
                    pass
            return text in self.seen
        until(look, what=f"{text!r} on the terminal")
        return self

    def type(self, text):
        os.write(self.fd, text.encode())
        return self

    def wait(self):
        """Reads to the end; the exit status."""
        more = True
        while more:
            try:
                more = os.read(self.fd, 65536)
            except OSError:
                break
            self.seen += more.decode()
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
