"""Free ports, for programs that must be told their port before they start, or start again on the one they had."""
import itertools
import socket

# below Linux's range of ephemeral ports, so that no outgoing connection takes one in between; free_port of
# tests/unit/rqlited.c takes blocks of the same
RANGE = range(12000, 32000)
BLOCK = 200
own = None


def claim():
    """The ports of a block that no other process of any test run on this machine has: as long as this one lives it
    holds a name for it, which belongs to the network namespace like the ports themselves."""
    for first in RANGE[::BLOCK]:
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0gateway-test-ports-{first}")
        except OSError:
            name.close()
            continue
        return name, itertools.cycle(range(first, first + BLOCK))
    raise RuntimeError("all blocks of ports are taken")


def free(n=1):
    """n different ports of 127.0.0.1 on which nothing listens now, none of which is given again soon."""
    global own
    own = own or claim()
    found = []
    for port in itertools.islice(own[1], BLOCK):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past connections are no matter
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == n:
            return found
    raise RuntimeError(f"no {n} of {BLOCK} ports are free")
