"""Which backend a configuration gets."""

from collections.abc import Callable

from rfx.errors import MissingDependencyError
from rfx.go2.backends.base import DdsBackend
from rfx.go2.config import Go2BackendHint, Go2Config


def _cyclone(config: Go2Config) -> DdsBackend:
    from rfx.go2.backends.cyclone_backend import CycloneBackend

    return CycloneBackend(config.domain_id, config.interface)


def _dust(config: Go2Config) -> DdsBackend:
    from rfx.go2.backends.dust import open_dust

    return open_dust(config)


OPENERS: dict[Go2BackendHint, Callable[[Go2Config], DdsBackend]] = {
    Go2BackendHint.CycloneDds: _cyclone,
    Go2BackendHint.DustDds: _dust,
}


def open_backend(config: Go2Config) -> DdsBackend:
    """Open the link that ``config.backend`` names, CycloneDDS where it names none.

    Raises
    ------
    MissingDependencyError
        The backend's library is not installed, or this version has no such backend.
    RfxConnectionError
        It could not start.
    """
    hint = Go2BackendHint.CycloneDds if config.backend is None else Go2BackendHint(config.backend)
    if hint not in OPENERS:
        have = ", ".join(OPENERS)
        raise MissingDependencyError(f"expected a backend that this version of rfx has ({have}), got {hint.value}")
    return OPENERS[hint](config)
