"""What a control loop measured: counts, timing histograms, and the real-time rights it ran with."""

from dataclasses import dataclass, field
from typing import Any

from rfx.control.histogram import Histogram
from rfx.control.realtime import Right
from rfx.errors import MissingDependencyError


@dataclass(frozen=True, eq=False)
class ControlLoopStats:
    """A still picture of a loop; it does not change while the loop goes on. Pickles.

    Attributes
    ----------
    name : str
        Name of the loop.
    rate_hz : float
        The rate asked for.
    late_policy : str
        ``"skip"`` or ``"catch_up"``.
    iterations : int
        Completed ticks: calls that returned and did not ask to stop. Both histograms hold as many values.
    overruns : int
        Ticks that ended after the deadline of the next one, because the work took long or began late.
    missed_ticks : int
        Ticks dropped altogether because their whole period went by; always 0 with ``"catch_up"``.
    avg_iteration_time, max_iteration_time : float
        Time spent in the callback, in seconds: moving average (0.95 old + 0.05 new, from the first value on), and
        the longest. The same in milliseconds: ``avg_iteration_time_ms``, ``max_iteration_time_ms``.
    lateness : Histogram
        Start of each tick after its deadline, in ns.
    work : Histogram
        Time spent in the callback, in ns.
    rights : tuple of Right
        Each real-time right that was asked for, and what became of it.
    """

    name: str
    rate_hz: float
    late_policy: str = "skip"
    iterations: int = 0
    overruns: int = 0
    missed_ticks: int = 0
    avg_iteration_time: float = 0.0
    max_iteration_time: float = 0.0
    lateness: Histogram = field(default_factory=Histogram, repr=False)
    work: Histogram = field(default_factory=Histogram, repr=False)
    rights: tuple[Right, ...] = ()

    @property
    def avg_iteration_time_ms(self) -> float:
        """Moving average of the time in the callback, in milliseconds."""
        return self.avg_iteration_time * 1e3

    @property
    def max_iteration_time_ms(self) -> float:
        """Longest time in the callback, in milliseconds."""
        return self.max_iteration_time * 1e3

    @property
    def rights_statement(self) -> str:
        """One plain sentence on real-time rights."""
        return "; ".join(map(str, self.rights)) if self.rights else "none asked for"

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, fit for JSON; times carry their unit in the key."""
        return {
            "name": self.name,
            "rate_hz": self.rate_hz,
            "late_policy": self.late_policy,
            "iterations": self.iterations,
            "overruns": self.overruns,
            "missed_ticks": self.missed_ticks,
            "avg_iteration_time_ms": self.avg_iteration_time_ms,
            "max_iteration_time_ms": self.max_iteration_time_ms,
            "lateness": self.lateness.as_dict(),
            "work": self.work.as_dict(),
            "rights": [vars(right).copy() for right in self.rights],
        }

    def __str__(self) -> str:
        head = (
            f"control loop {self.name!r} at {self.rate_hz:g} Hz, policy {self.late_policy}: "
            f"{self.iterations} iterations, {self.overruns} overruns, {self.missed_ticks} missed ticks\n"
            f"iteration time: average {self.avg_iteration_time_ms:.3f} ms, "
            f"longest {self.max_iteration_time_ms:.3f} ms\n"
        )
        columns = ["p50", "p90", "p99", "p99.9", "max", "mean"]
        rows = [f"{'[us]':<10}" + "".join(f"{column:>11}" for column in columns)]
        for label, histogram in (("lateness", self.lateness), ("work", self.work)):
            values = histogram.as_dict()
            rows.append(f"{label:<10}" + "".join(f"{values[column + '_ns'] / 1e3:>11.1f}" for column in columns))
        return head + "\n".join(rows) + f"\nreal-time rights: {self.rights_statement}"

    def plot(self, path: Any = None) -> Any:
        """Draw both histograms, each duration against how many ticks were at least that long.

        Parameters
        ----------
        path : str or path-like, optional
            Save the picture there.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        MissingDependencyError
            matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise MissingDependencyError("plotting needs matplotlib: pip install 'rfx[demo]'") from error
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot()
        for label, histogram in (("lateness", self.lateness), ("work", self.work)):
            least, _, counts = histogram.counts()
            at_least = counts[::-1].cumsum()[::-1]
            axes.step(least.clip(100) / 1e3, at_least, where="post", label=label)
        axes.set(xscale="log", yscale="log", xlabel="duration [us]", ylabel="ticks at least that long")
        axes.set_title(f"{self.name}: {self.iterations} ticks at {self.rate_hz:g} Hz, {self.missed_ticks} missed")
        axes.grid(alpha=0.3)
        axes.legend()
        if path is not None:
            figure.savefig(path)
        return figure
