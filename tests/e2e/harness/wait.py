"""Waiting for conditions. Tests never sleep for a time; they wait until something holds."""
import time

STEP = 0.01
# seconds, for machines that have much else to do: it costs nothing where the condition comes early, and says
# nothing about how soon it does
PATIENCE = 60
# What one replica was told holds on the other within a second: bench-revocation measures that, the median of
# several is asked for in test_races and test_replicas. A single one may meet a machine that has stalled; but
# this is still less than anything needs that waits for another clock than the feed's.
SPREAD = 10


def until(condition, timeout=PATIENCE, what=None, step=STEP):
    """Calls condition until it returns something true, and returns that. An exception counts as not
    yet; the last one is told when the time is over. step: seconds between two calls."""
    end = time.monotonic() + timeout
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except Exception as e:  # the condition itself may fail until it holds
            last = e
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout} s for {what or condition}; last: {last!r}")
        time.sleep(step)
