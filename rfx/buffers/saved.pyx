"""What all buffers that can be saved have in common."""

from rfx.buffers import files
from rfx.errors import CodecError, RfxError


cdef class Saved:
    """A buffer with ``config()``, ``state_dict()`` and ``load_state_dict(state)``, which are all that a copy needs."""

    def save(self, path):
        """Write parameters and state to a file (docs/buffers.md says how it is made), in one piece or not at all."""
        files.save_state(path, type(self).__name__, self.config(), self.state_dict())

    @classmethod
    def load(cls, path):
        """Return the buffer that :meth:`save` wrote; CodecError for a damaged file, ConfigError for one of another kind."""
        return rebuilt(cls, *files.load_state(path, cls.__name__))

    def __reduce__(self):
        return rebuilt, (type(self), self.config(), self.state_dict())


def rebuilt(kind, config, state):
    """Return a buffer of this kind with these parameters and this state; CodecError where it has no such parameters."""
    try:
        made = kind(**config)
    except TypeError as error:
        if isinstance(error, RfxError):
            raise
        raise CodecError(f"expected the parameters of {kind.__name__}, got {config!r}: {error}") from error
    made.load_state_dict(state)
    return made
