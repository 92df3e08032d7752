"""Zenoh on loopback: addresses that nobody has, and pairs of transports that see each other."""

import contextlib
import faulthandler
import itertools
import sys
import time

from endpoints import free_endpoint as free_endpoint
from waiting import wait_for

from rfx.comm import Transport


@contextlib.contextmanager
def pair(**arguments):
    """Two transports, connected."""
    end = free_endpoint()
    with Transport.zenoh(listen=end, **arguments) as a, Transport.zenoh(connect=end, **arguments) as b:
        assert wait_for(lambda: a.session.peers() and b.session.peers())
        yield a, b


def settled(sender, subscription, key="ready"):
    """Whether what is sent under a key reaches a subscription; what came of it is taken out."""

    def there():
        sender.publish(key, b"ready?")
        return subscription.recv_timeout(0.02)

    def ended():
        word = b"last %d" % next(numbers)
        sender.publish(key, word)
        end = time.monotonic() + 1.0
        while (message := subscription.recv_timeout(max(0.0, end - time.monotonic()))) is not None:
            if bytes(message.payload) == word:
                return True
        return False

    numbers = itertools.count()
    heard = wait_for(there)
    if heard and wait_for(ended):
        return True
    session = getattr(sender, "session", None)  # who looks for the reason finds this beside the failure
    print(f"heard: {heard}, {sender!r}, {session and session.peers()}, {subscription!r}, {subscription.counts}")
    faulthandler.dump_traceback(sys.__stderr__)
    return False
