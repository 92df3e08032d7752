"""Every error that rfx raises on purpose.

All derive from :class:`RfxError`, and each is also the builtin that a user would expect, so that
``except ValueError`` and ``except RfxError`` both work. Messages say what was expected and what came.
"""


class RfxError(Exception):
    """Base of all errors raised by rfx."""


class InvalidValueError(RfxError, ValueError):
    """A value is outside of what the callee accepts (NaN, zero norm, negative rate, ...)."""


class ShapeError(InvalidValueError):
    """An array has the wrong shape, length or memory layout."""


class ConfigError(InvalidValueError):
    """A configuration contradicts itself or names something that does not exist."""


class CodecError(InvalidValueError):
    """Bytes are not the message they are taken for: truncated, trailing, corrupt or of another type."""


class DTypeError(RfxError, TypeError):
    """A value has the wrong type, or an array the wrong dtype."""


class InvalidStateError(RfxError, RuntimeError):
    """The call does not fit the present state of the object (closed, not started, forbidden transition)."""


class EnvError(RfxError, RuntimeError):
    """An environment of a user raised, gave what is none of its space, or lost its process.

    Attributes
    ----------
    environments : tuple of int
        Which ones: they must be reset before they can go on.
    """

    environments: tuple[int, ...] = ()


class EmptyBufferError(InvalidStateError):
    """There is nothing to draw from."""


class ControlLoopError(RfxError, RuntimeError):
    """A control loop could not be started or run as asked."""


class HardwareError(RfxError, RuntimeError):
    """The robot refused, or reports a fault."""


class MissingDependencyError(RfxError, ImportError, RuntimeError):
    """An optional library is not installed; the message says which extra brings it."""


class RfxConnectionError(RfxError, ConnectionError):
    """No link to the robot or the transport could be made, or it was lost."""


class RfxTimeoutError(RfxError, TimeoutError):
    """Something did not happen in time."""
