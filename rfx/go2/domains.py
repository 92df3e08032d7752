"""Find a DDS domain for a simulated robot, so that two of them on one machine never hear each other."""

import os
import socket

from rfx import arrays
from rfx.errors import RfxConnectionError

# DDSI-RTPS 2.5, 9.6.2.3: the ports of a domain begin here, so far apart; those of domains above 100 may be given to
# any program's outgoing connections (Linux' ephemeral ports begin at 32768).
FIRST_PORT, STEP, DISCOVERY, PARTICIPANTS = 7400, 250, 10, 4
LOWEST, HIGHEST = 61, 100


def in_use(domain_id: int) -> bool:
    """Return whether somebody on this machine has ports of a DDS domain: its multicast port, or a participant's.

    Parameters
    ----------
    domain_id : int
        0 to 230.

    Raises
    ------
    InvalidValueError
        It is out of range.
    """
    first = FIRST_PORT + STEP * arrays.integer(domain_id, "domain_id", minimum=0, maximum=230)
    for port in (first, *range(first + DISCOVERY, first + DISCOVERY + 2 * PARTICIPANTS, 2)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                return True
    return False


def free_domain(lowest: int = LOWEST, highest: int = HIGHEST) -> int:
    """Return a DDS domain that nobody on this machine uses now; processes begin to look at different ones.

    Parameters
    ----------
    lowest, highest : int
        Ids to choose from, both included. Unitree uses 0 and 1.

    Raises
    ------
    RfxConnectionError
        All are in use.
    InvalidValueError
        Ids out of 0 to 230, or none between them.

    Examples
    --------
    >>> 61 <= free_domain() <= 100
    True
    """
    first = arrays.integer(lowest, "lowest", minimum=0, maximum=230)
    count = arrays.integer(highest, "highest", minimum=first, maximum=230) - first + 1
    for i in range(count):
        domain_id = first + (os.getpid() + i) % count
        if not in_use(domain_id):
            return domain_id
    raise RfxConnectionError(f"expected a DDS domain from {lowest} to {highest} that is free, all are in use")
