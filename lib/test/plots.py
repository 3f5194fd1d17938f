"""Success and precision plots."""

from collections.abc import Sequence
from pathlib import Path

from lib.core.atomic import write_atomically
from lib.core.errors import InputError
from lib.test.report import Entry

LINES = ("-", "--", ":", "-.")
FORMATS = (".pdf", ".png", ".svg")


def plot_curves(path: str | Path, entries: Sequence[Entry], title: str) -> None:
    """One panel per metric of the protocol, one curve per tracker, best first in the legend; the suffix of `path`
    chooses the format. Raises InputError for an unknown suffix and when matplotlib is missing."""
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: cannot plot into {path.suffix or 'a file without suffix'}; use {', '.join(FORMATS)}")
    try:
        from matplotlib import colormaps
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError("--plot needs matplotlib: pip install matplotlib") from None
    looks = {}  # a tracker looks the same in every panel; beyond ten colours, dashes tell
    for index, entry in enumerate(entries):
        looks[entry.name] = {"color": colormaps["tab10"](index % 10), "linestyle": LINES[index // 10 % len(LINES)]}
    metrics = entries[0].scores.protocol.metrics
    figure = Figure(figsize=(5 * len(metrics), 4.2), layout="constrained")
    figure.suptitle(title)
    for index, (metric, axes) in enumerate(
        zip(metrics, figure.subplots(1, len(metrics), squeeze=False)[0], strict=True)
    ):
        ranked = sorted(entries, key=lambda entry: entry.scores.overall[metric.name], reverse=metric.higher_is_better)
        for entry in ranked:
            label = f"{entry.name} [{100 * entry.scores.overall[metric.name]:.1f}]"
            axes.plot(metric.thresholds, 100 * entry.scores.mean_curves[index], label=label, **looks[entry.name])
        axes.set(title=metric.title, xlabel=f"threshold ({metric.unit})", ylabel=f"{metric.name} (%)", ylim=(0, 100))
        axes.title.set_fontsize(9)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    with write_atomically(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower())
