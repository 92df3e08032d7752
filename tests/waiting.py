"""Wait for something that another thread or process does."""

import time


def wait_for(condition, seconds=60.0):
    """Whether the condition came true within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return False
