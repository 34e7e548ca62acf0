"""A program started by a test: its pid, its output, its end. Only ever signals its own pid."""
import os
import re
import signal
import subprocess

from .wait import PATIENCE, until

# every process that the running test can have started, for the log sections of a failure report
started = []


SANITIZER = re.compile(r"(?:WARNING|ERROR): \w+Sanitizer|: runtime error: ")


def sanitizer_report(name, text):
    found = SANITIZER.search(text)
    return found and f"{name}: {text[max(found.start() - 200, 0):found.start() + 4000]}"


class Process:
    def __init__(self, name, argv, log_dir, env=None, cwd=None):
        self.name, self.argv, self.env, self.cwd = name, [str(a) for a in argv], env, cwd
        self.log_path = os.path.join(str(log_dir), f"{name}.log")
        self.popen = None
        self.offset = 0  # where the output of the current run begins
        started.append(self)

    def start(self):
        assert not self.alive(), f"{self.name} runs already"
        env = {**os.environ, **(self.env or {})}
        with open(self.log_path, "ab") as log:
            self.offset = log.tell()
            self.popen = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          env=env, cwd=self.cwd)
        return self

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen is not None and self.popen.poll() is None

    def output(self):
        """What the current run has printed so far, stdout and stderr together."""
        with open(self.log_path, "rb") as f:
            f.seek(self.offset)
            return f.read().decode(errors="replace")

    def expect(self, pattern, timeout=PATIENCE):
        """Waits until a line matches; the match. Fails at once when the program ends before."""
        def look():
            found = re.search(pattern, self.output(), re.M)
            if not found and not self.alive():
                raise Ended(self)
            return found
        return until_alive(look, timeout, f"{pattern!r} from {self.name}")

    def signal(self, number):
        self.popen.send_signal(number)

    def kill(self):
        """SIGKILL, as a crash would end it."""
        if self.alive():
            self.popen.kill()
        if self.popen:
            self.popen.wait()

    def stop(self, timeout=25):
        """SIGTERM, and the exit status; SIGKILL and a failure when that does not end it: sooner than a gateway
        gives up its drain."""
        if not self.popen:
            return None
        if self.alive():
            self.signal(signal.SIGTERM)
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {timeout} s of SIGTERM")

    def wait(self, timeout=PATIENCE):
        return self.popen.wait(timeout)

    def sanitizer_report(self):
        """The first report of a sanitizer in any run's output, or None."""
        if not os.path.exists(self.log_path):
            return None
        with open(self.log_path, errors="replace") as f:
            return sanitizer_report(self.name, f.read())

    def rss_kib(self):
        with open(f"/proc/{self.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


class Ended(BaseException):
    """The program ended while a test waited for its output."""

    def __init__(self, process):
        super().__init__(f"{process.name} ended with status {process.popen.returncode}:\n{process.output()[-4000:]}")


def until_alive(condition, timeout=PATIENCE, what=None):
    try:
        return until(condition, timeout, what)
    except Ended as e:
        raise AssertionError(str(e)) from None
