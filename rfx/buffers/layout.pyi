"""How a transition lies in a row of memory, and how what a user gives becomes one."""

from typing import Any

from numpy.typing import NDArray

from rfx.buffers.columns import Column

class Layout:
    def __init__(
        self,
        obs_shape: Any,
        act_shape: Any,
        obs_dtype: Any,
        act_dtype: Any,
        extra: Any,
        header: int = 0,
    ) -> None: ...
    @property
    def schema(self) -> tuple[Column, ...]: ...
    @property
    def obs_names(self) -> tuple[str, ...]: ...
    @property
    def config(self) -> dict[str, Any]: ...
    def describe(self) -> str: ...
    def parts(self, value: Any, name: str) -> tuple[Any, ...]: ...
    def flattened_out(self, out: Any, further: Any) -> tuple[Any, ...]: ...
    def checked_rows(self, rows: Any) -> tuple[int, list[NDArray[Any]]]: ...

def fitted(value: Any, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]: ...
