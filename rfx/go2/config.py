"""How to reach a Go2."""

from dataclasses import dataclass, replace
from typing import Self

from rfx import arrays
from rfx.errors import ConfigError, DTypeError

BACKENDS = ("cyclone",)
ROBOT_ADDRESS = "192.168.123.161"


@dataclass(frozen=True)
class Go2Config:
    """How to reach a robot, real or simulated.

    Parameters
    ----------
    ip_address : str
        Of the robot; named in errors, DDS finds it by itself.
    interface : str, optional
        Network interface that leads to the robot, such as ``eth0``; None lets DDS choose.
    domain_id : int
        DDS domain: 0 on the robot.
    backend : {"cyclone"}
    connect_timeout_s : float
        How long :meth:`Go2.connect` waits for a first valid state (s).
    stale_after_s : float
        A state older than this, by our own receive clock, means the link is lost (s).
    lockstep : bool
        For a simulated robot that waits for the answer to each state: every command names the state's tick in its
        reserve field. Never for a real robot.

    Raises
    ------
    ConfigError, InvalidValueError, DTypeError
        Something is out of range or of the wrong type.
    """

    ip_address: str = ROBOT_ADDRESS
    interface: str | None = None
    domain_id: int = 0
    backend: str = "cyclone"
    connect_timeout_s: float = 5.0
    stale_after_s: float = 0.2
    lockstep: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.ip_address, str) or not self.ip_address:
            raise DTypeError(f"expected ip_address to be a non-empty string, got {self.ip_address!r}")
        if self.interface is not None and (not isinstance(self.interface, str) or not self.interface):
            raise DTypeError(f"expected interface to be a name or None, got {self.interface!r}")
        arrays.integer(self.domain_id, "domain_id", minimum=0, maximum=230)
        if self.backend not in BACKENDS:
            raise ConfigError(f"expected backend to be one of {', '.join(BACKENDS)}, got {self.backend!r}")
        arrays.number(self.connect_timeout_s, "connect_timeout_s", above=0, maximum=3600)
        arrays.number(self.stale_after_s, "stale_after_s", above=0, maximum=3600)

    @classmethod
    def loopback(cls, domain_id: int = 1, *, lockstep: bool = False, connect_timeout_s: float = 15.0) -> Self:
        """Return the configuration for a simulated robot on this machine."""
        from rfx.go2.backends.cyclone import LOOPBACK

        return cls("127.0.0.1", LOOPBACK, domain_id, connect_timeout_s=connect_timeout_s, lockstep=lockstep)

    def with_interface(self, interface: str | None) -> Self:
        """Return a copy with another network interface."""
        return replace(self, interface=interface)

    def with_domain(self, domain_id: int) -> Self:
        """Return a copy with another DDS domain."""
        return replace(self, domain_id=domain_id)

    def with_backend(self, backend: str) -> Self:
        """Return a copy with another backend."""
        return replace(self, backend=backend)
