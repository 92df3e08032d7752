"""A bridge in a thread, and addresses for it."""

import contextlib
import threading

from loopback import free_endpoint
from waiting import wait_for

from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain

__all__ = ["bridge_on", "free_endpoint", "wait_until_it_looked"]


@contextlib.contextmanager
def bridge_on(domain_id, *, side="robot", wait=True, prefix="", routes=None, settle_s=0.3, **where):
    """Carry between a domain on loopback and Zenoh; ``bridge.ended`` has what ended it."""
    from rfx.go2.bridge import Bridge
    from rfx.go2.bridge_routes import make_routes

    made = make_routes(side) if routes is None else routes
    with (
        CycloneDomain(domain_id, LOOPBACK) as domain,
        Bridge(domain, made, side=side, key_prefix=prefix, settle_s=settle_s, **where) as bridge,
    ):
        stop, bridge.ended = threading.Event(), []

        def run():
            try:
                bridge.run(stop)
            except Exception as error:
                bridge.ended.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            if wait:
                wait_until_it_looked(bridge)
            yield bridge
        finally:
            stop.set()
            thread.join(10)
            assert not thread.is_alive()


def wait_until_it_looked(bridge):
    assert wait_for(lambda: bridge.ended or bridge.note or any(route.active for route in bridge.routes))
