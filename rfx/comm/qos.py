"""How messages are carried: what may be lost, who waits for whom, what goes first, what is kept."""

from dataclasses import dataclass, replace
from typing import ClassVar

from rfx.arrays import integer
from rfx.errors import ConfigError, DTypeError

RELIABILITIES = ("reliable", "best_effort")
CONGESTIONS = ("block", "drop")
PRIORITIES = ("real_time", "interactive_high", "interactive_low", "data_high", "data", "data_low", "background")
DURABILITIES = ("volatile", "latched")


@dataclass(frozen=True)
class QoS:
    """A profile for :meth:`Transport.publish` and :meth:`Transport.subscribe`.

    Attributes
    ----------
    reliability : {"reliable", "best_effort"}
        Of the publisher: whether what a link loses is sent again. Over Zenoh a datagram link (``udp/``) cannot do that, and
        a transport with such a link refuses "reliable". Within one program nothing is lost on the way.
    depth : int
        Of the subscriber: most messages that wait to be taken, at least 1.
    congestion : {"block", "drop"}
        Of the publisher: whether it waits where there is no room, on the way or at a subscription that has it wait
        (``overflow="block"``), or the message is dropped. Of the subscriber: whether its ``overflow`` is "block" or
        "drop_oldest".
    priority : str
        Of the publisher: which of the messages that wait to be sent goes first; "real_time", "interactive_high",
        "interactive_low", "data_high", "data", "data_low", "background". Within one program none waits: a message is with
        its subscribers when ``publish`` returns.
    express : bool
        Of the publisher: sent at once, not put together with others into one packet. Within one program all are.
    durability : {"volatile", "latched"}
        Of the publisher: whether the newest message of each key is kept for those who come later. Of the subscriber:
        whether it wants to be given those.

    Raises
    ------
    ConfigError, DTypeError, InvalidValueError
        Another word; "best_effort" with "block", since nobody waits for what may be lost; a depth below 1.

    Examples
    --------
    >>> QoS.SENSOR.congestion
    'drop'
    >>> QoS(depth=3) == QoS.named("default", depth=3)
    True
    """

    reliability: str = "reliable"
    depth: int = 16
    congestion: str = "block"
    priority: str = "data"
    express: bool = False
    durability: str = "volatile"

    DEFAULT: ClassVar["QoS"]
    SENSOR: ClassVar["QoS"]
    COMMAND: ClassVar["QoS"]
    STATE: ClassVar["QoS"]
    PARAMETERS: ClassVar["QoS"]

    def __post_init__(self) -> None:
        for name, words in (
            ("reliability", RELIABILITIES),
            ("congestion", CONGESTIONS),
            ("priority", PRIORITIES),
            ("durability", DURABILITIES),
        ):
            value = getattr(self, name)
            if value not in words:
                raise ConfigError(f"expected {name} to be one of {', '.join(words)}, got {value!r}")
        if not isinstance(self.express, bool):
            raise DTypeError(f"expected express to be a bool, got {type(self.express).__name__}")
        object.__setattr__(self, "depth", integer(self.depth, "depth", minimum=1))
        if self.reliability == "best_effort" and self.congestion == "block":
            raise ConfigError('expected congestion "drop" with reliability "best_effort", got "block"')

    @property
    def latched(self) -> bool:
        """Whether ``durability`` is "latched"."""
        return self.durability == "latched"

    @property
    def overflow(self) -> str:
        """What a subscription of this profile does where ``depth`` messages wait."""
        return "block" if self.congestion == "block" else "drop_oldest"

    @classmethod
    def named(cls, name: str, **changes: object) -> "QoS":
        """Return the profile "default", "sensor", "command", "state" or "parameters", with some attributes changed."""
        found = PROFILES.get(name) if isinstance(name, str) else None
        if found is None:
            raise ConfigError(f"expected a profile of {', '.join(PROFILES)}, got {name!r}")
        return replace(found, **changes)  # type: ignore[arg-type]


def profile(qos: "QoS | str | None") -> QoS | None:
    """Return a profile as it is, one of that name, or None. DTypeError for anything else."""
    if qos is None or isinstance(qos, QoS):
        return qos
    if isinstance(qos, str):
        return QoS.named(qos)
    raise DTypeError(f"expected qos to be a QoS, the name of one or None, got {type(qos).__name__}")


PROFILES = {
    "default": QoS(),
    # the newest of what is measured often; an old one is worth nothing
    "sensor": QoS("best_effort", 5, "drop", "data_high"),
    # few, small, urgent; none may be lost
    "command": QoS("reliable", 16, "block", "real_time", express=True),
    # what something is now, also for those who come later
    "state": QoS("reliable", 1, "drop", "data", durability="latched"),
    # seldom, and each counts
    "parameters": QoS("reliable", 64, "block", "data_low", durability="latched"),
}
QoS.DEFAULT, QoS.SENSOR, QoS.COMMAND = PROFILES["default"], PROFILES["sensor"], PROFILES["command"]
QoS.STATE, QoS.PARAMETERS = PROFILES["state"], PROFILES["parameters"]
