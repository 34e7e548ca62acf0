"""Free ports, for programs that must be told their port before they start."""
import random
import socket

# below Linux's range of ephemeral ports, so that no outgoing connection takes one in between
RANGE = range(12000, 32000)


def free(n=1):
    """n different ports of 127.0.0.1 on which nothing listens now."""
    found = []
    rng = random.SystemRandom()
    while len(found) < n:
        port = rng.choice(RANGE)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found
