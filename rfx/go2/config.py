"""How to reach a Go2, and how to treat it."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from rfx import arrays
from rfx.errors import ConfigError, DTypeError
from rfx.go2.limits import SafetyLimits

ROBOT_ADDRESS = "192.168.123.161"
FASTEST = (3.8, 1.0, 4.0)  # what Unitree gives as the limits of Move: m/s, m/s, rad/s


class Go2BackendHint(StrEnum):
    """What carries the messages."""

    CycloneDds = "cyclone"
    Zenoh = "zenoh"
    DustDds = "dust"


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
    backend : Go2BackendHint or str, optional
        What carries the messages: ``cyclone``, ``zenoh`` or ``dust``; None takes what is there.
    zenoh_endpoint : str, optional
        Of a Zenoh router, such as ``tcp/192.168.123.18:7447``.
    edu_mode : bool
        Whether low-level commands are allowed; only the EDU version of the robot obeys them.
    connect_timeout_s : float
        How long :meth:`Go2.connect` waits for a first valid state (s).
    stale_after_s : float
        A state older than this, by our own receive clock, means the link is lost (s).
    rpc_timeout_s : float
        How long a call of a service waits for its answer (s).
    walk_limits : tuple of three float
        What :meth:`Go2.walk` clamps to: m/s forwards, m/s sideways, rad/s.
    walk_hold_s : float
        For how long a velocity is kept up without another call of :meth:`Go2.walk` (s).
    move_rate_hz : float
        How often a velocity is sent again.
    command_rate_hz : float
        How often :meth:`Go2.start_sending` sends the last low-level command.
    state_rate_hz : float
        How often it takes the newest state meanwhile; at most as often as it sends.
    command_hold_s : float
        It goes to damping when no new command came for so long (s).
    limits : SafetyLimits
        What no low-level command passes.
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
    backend: str | None = None
    zenoh_endpoint: str | None = None
    edu_mode: bool = True
    connect_timeout_s: float = 5.0
    stale_after_s: float = 0.2
    rpc_timeout_s: float = 5.0
    walk_limits: tuple[float, float, float] = (1.0, 0.5, 1.5)
    walk_hold_s: float = 1.0
    move_rate_hz: float = 20.0
    command_rate_hz: float = 500.0
    state_rate_hz: float = 500.0
    command_hold_s: float = 0.5
    limits: SafetyLimits = field(default_factory=SafetyLimits)
    lockstep: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.ip_address, str) or not self.ip_address:
            raise DTypeError(f"expected ip_address to be a non-empty string, got {self.ip_address!r}")
        if self.interface is not None and (not isinstance(self.interface, str) or not self.interface):
            raise DTypeError(f"expected interface to be a name or None, got {self.interface!r}")
        arrays.integer(self.domain_id, "domain_id", minimum=0, maximum=230)
        if self.backend is not None:
            if self.backend not in list(Go2BackendHint):
                raise ConfigError(f"expected backend to be one of {', '.join(Go2BackendHint)}, got {self.backend!r}")
            object.__setattr__(self, "backend", Go2BackendHint(self.backend))
        if self.zenoh_endpoint is not None and (not isinstance(self.zenoh_endpoint, str) or not self.zenoh_endpoint):
            raise DTypeError(f"expected zenoh_endpoint to be an address or None, got {self.zenoh_endpoint!r}")
        for flag, name in ((self.edu_mode, "edu_mode"), (self.lockstep, "lockstep")):
            if not isinstance(flag, bool):
                raise DTypeError(f"expected {name} to be True or False, got {flag!r}")
        arrays.number(self.connect_timeout_s, "connect_timeout_s", above=0, maximum=3600)
        arrays.number(self.stale_after_s, "stale_after_s", above=0, maximum=3600)
        arrays.number(self.rpc_timeout_s, "rpc_timeout_s", above=0, maximum=3600)
        arrays.number(self.walk_hold_s, "walk_hold_s", above=0, maximum=3600)
        arrays.number(self.move_rate_hz, "move_rate_hz", minimum=1, maximum=500)
        arrays.number(self.command_rate_hz, "command_rate_hz", minimum=1, maximum=1000)
        arrays.number(self.state_rate_hz, "state_rate_hz", minimum=1, maximum=1000)
        arrays.number(self.command_hold_s, "command_hold_s", above=0, maximum=3600)
        if not isinstance(self.limits, SafetyLimits):
            raise DTypeError(f"expected limits to be a SafetyLimits, got {type(self.limits).__name__}")
        if self.state_rate_hz * self.limits.stale_s <= 1.0:
            raise ConfigError(
                f"expected state_rate_hz above {1.0 / self.limits.stale_s:g}, as limits.stale_s is {self.limits.stale_s:g} s: "
                f"got {self.state_rate_hz:g}"
            )
        if not isinstance(self.walk_limits, tuple) or len(self.walk_limits) != len(FASTEST):
            raise DTypeError(f"expected walk_limits to be a tuple of three numbers, got {self.walk_limits!r}")
        for i, most in enumerate(FASTEST):
            arrays.number(self.walk_limits[i], f"walk_limits[{i}]", minimum=0, maximum=most)

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

    def with_backend(self, backend: str | None) -> Self:
        """Return a copy with another backend."""
        return replace(self, backend=backend)

    def with_zenoh_router(self, endpoint: str) -> Self:
        """Return a copy that goes by way of a Zenoh router at this address."""
        return replace(self, backend=Go2BackendHint.Zenoh, zenoh_endpoint=endpoint)

    def with_edu_mode(self, edu_mode: bool = True) -> Self:
        """Return a copy that allows low-level commands, or does not."""
        return replace(self, edu_mode=edu_mode)

    def with_walk_limits(self, vx: float, vy: float, vyaw: float) -> Self:
        """Return a copy that walks no faster than this (m/s, m/s, rad/s)."""
        return replace(self, walk_limits=(vx, vy, vyaw))

    def with_rates(
        self, *, command_hz: float | None = None, state_hz: float | None = None, move_hz: float | None = None
    ) -> Self:
        """Return a copy with other rates (Hz); None leaves one as it is."""
        return replace(
            self,
            command_rate_hz=self.command_rate_hz if command_hz is None else command_hz,
            state_rate_hz=self.state_rate_hz if state_hz is None else state_hz,
            move_rate_hz=self.move_rate_hz if move_hz is None else move_hz,
        )

    def with_limits(self, limits: SafetyLimits | None = None, **changes: Any) -> Self:
        """Return a copy with other safety limits, or with some of them changed: ``with_limits(tilt=0.5)``."""
        return replace(self, limits=replace(self.limits if limits is None else limits, **changes))

    def with_timeouts(
        self,
        *,
        connect_s: float | None = None,
        stale_s: float | None = None,
        rpc_s: float | None = None,
        command_hold_s: float | None = None,
    ) -> Self:
        """Return a copy with other timeouts (s); None leaves one as it is."""
        return replace(
            self,
            connect_timeout_s=self.connect_timeout_s if connect_s is None else connect_s,
            stale_after_s=self.stale_after_s if stale_s is None else stale_s,
            rpc_timeout_s=self.rpc_timeout_s if rpc_s is None else rpc_s,
            command_hold_s=self.command_hold_s if command_hold_s is None else command_hold_s,
        )
