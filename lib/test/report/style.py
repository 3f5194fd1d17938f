"""The style of all figures: as wide as a column of a paper, one colour and dash pattern per tracker.

No TeX is needed. Fonts are embedded in PDF files as TrueType, as publishers require.
"""

import io
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from ...core.atomic import write_atomically
from ..analysis.leaderboard import Leaderboard

WIDTH = 3.4  # inches: a column of IEEE, ACM and CVF papers
AXES_HEIGHT, LINE_HEIGHT = 2.3, 0.145  # inches: the axes with labels, one line of the legend
LEGEND_COLUMNS = 2
DOTS_PER_INCH = 300
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#E69F00",
    "#000000",
)  # Okabe & Ito: safe for colour blindness
LINES = ("-", "--", ":", "-.")
LineStyles = dict[str, dict[str, Any]]  # tracker -> colour and dashes
HALO = [withStroke(linewidth=1.5, foreground="white")]  # white outline for text over lines and points
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.labelsize": 7.5,
    "axes.titlesize": 7.5,
    "legend.fontsize": 6.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "grid.linewidth": 0.4,
    "grid.color": "#cccccc",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # names may hold dollars
    "pdf.fonttype": 42,
    "svg.hashsalt": "figure",  # equal reports give equal files
}


def line_styles(boards: Iterable[Leaderboard]) -> LineStyles:
    """The colour and dashes of each tracker, the same in all figures of a report."""
    names = dict.fromkeys(entry.name for board in boards for entry in board.entries)
    return {
        name: {"color": COLOURS[index % len(COLOURS)], "linestyle": LINES[index // len(COLOURS) % len(LINES)]}
        for index, name in enumerate(names)
    }


@rc_context(STYLE)
def save_figure(path: str | Path, figure: Figure) -> None:
    """Write a figure in the format of the path's suffix, atomically."""
    path = Path(path)
    metadata: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    kind = path.suffix[1:]
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # else it logs every table that it leaves out of a PDF
    content = io.BytesIO()  # matplotlib's own errors would hide that the disk is full
    figure.savefig(content, format=kind, dpi=DOTS_PER_INCH, metadata=metadata.get(kind))
    with write_atomically(path) as temporary:
        temporary.write_bytes(content.getbuffer())
