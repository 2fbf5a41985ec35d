"""QPS against recall for several ef, raw hnswlib, ours and other engines, as a picture.

The one file that knows matplotlib.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from vectron_p2p.bench.run import Report


def available() -> bool:
    """Whether matplotlib (the extra `bench`) is installed."""
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def plot(report: Report, path: Path) -> None:
    """Draws on memory and writes a PNG; no display, no state shared with other users of matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)  # the figure keeps it
    axes = figure.add_subplot()
    curves = {
        "raw hnswlib, in process": [(point.raw_recall, point.raw_rate, point.ef) for point in report.curve],
        "vectron, one node": [(point.recall, point.rate, point.ef) for point in report.curve],
    }
    for marker, (label, points) in zip("so", curves.items(), strict=True):
        axes.plot([point[0] for point in points], [point[1] for point in points], marker=marker, label=label)
        for recall, rate, ef in points:
            axes.annotate(str(ef), (recall, rate), textcoords="offset points", xytext=(4, 4), fontsize=7)
    for engine in report.engines:
        label = f"{engine.title} {engine.version}, {engine.place}{'' if engine.batches else ', single queries'}"
        axes.plot(
            [speed.recall for speed in engine.curve],
            [speed.rate for speed in engine.curve],
            "--",
            marker=".",
            label=label,
        )
    about = report.about
    axes.set_title(f"{about['data']}: {about['points']:,} points × {about['dimension']}; numbers are ef", fontsize=10)
    axes.set_xlabel(f"recall@{about['settings'].k}")
    axes.set_ylabel("queries per second (one batch)")
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    with path.open("wb") as file:
        figure.savefig(file, format="png")
