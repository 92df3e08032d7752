"""What all plots share: colours, and a canvas without a window."""

from typing import Any

from rfx.errors import MissingDependencyError

# Okabe and Ito's palette, which the colour-blind can tell apart
BLUE, ORANGE, GREEN, GREY, RED = "#0072B2", "#D55E00", "#009E73", "#999999", "#CC79A7"
YELLOW, SKY = "#E69F00", "#56B4E9"
LEG_COLOURS = {"FR": BLUE, "FL": ORANGE, "RR": SKY, "RL": YELLOW}


def canvas(size: tuple[float, float], layout: Any = "constrained") -> Any:
    """Return a matplotlib figure of a size in inches; MissingDependencyError without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("plots need matplotlib: pip install 'rfx[demo]'") from error
    figure = Figure(figsize=size, layout=layout)
    FigureCanvasAgg(figure)
    return figure
