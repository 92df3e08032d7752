"""Zenoh on loopback: addresses that nobody has, and pairs of transports that see each other."""

import contextlib

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

    if not wait_for(there):
        return False
    sender.publish(key, b"last")
    return wait_for(lambda: (m := subscription.recv_timeout(0.1)) is not None and bytes(m.payload) == b"last")
