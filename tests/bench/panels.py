"""Drawing of a dashboard's panels with matplotlib, each at its place in Grafana's grid."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator
from support.dashboard import Panel, dashboard, panels

from bench.pictures import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY
from bench.recording import RATE_INTERVAL, STEP, Points, Recording

COLUMN, LINE = 0.5, 0.27  # inches of a cell of the grid
HEAD = 1.0  # inches above the grid
PAGE, CARD, EDGE, TEXT = "#f3f4f6", "#ffffff", "#d9dce1", "#22252b"
PALETTE = (BLUE, ORANGE, GREEN, PINK, SKY, RED, "#F0C000", GREY)
NAMED = {"green": GREEN, "orange": ORANGE, "red": RED}  # Grafana's names of colours
SMALL, USUAL = 7.5, 9.0  # points


class Canvas:
    """The figure, with a grid of so many lines. Places and sizes are in inches, from the lower left corner."""

    def __init__(self, lines: int) -> None:
        self.width, self.height = 24 * COLUMN, lines * LINE + HEAD
        self.figure = plt.figure(figsize=(self.width, self.height), facecolor=PAGE, layout="none")

    def place(self, panel: Panel) -> tuple[float, float, float, float]:
        """Return left, bottom, width and height of a panel in inches."""
        bottom = self.height - HEAD - (panel.y + panel.height) * LINE
        return panel.x * COLUMN, bottom, panel.width * COLUMN, panel.height * LINE

    def text(self, x: float, y: float, text: str, **style: Any) -> None:
        """Write at a place in inches."""
        self.figure.text(x / self.width, y / self.height, text, **{"color": TEXT, "fontsize": USUAL, **style})

    def box(self, x: float, y: float, width: float, height: float, **style: Any) -> None:
        """Draw a rectangle at a place in inches, below all axes."""
        corner = x / self.width, y / self.height
        size = width / self.width, height / self.height
        self.figure.add_artist(Rectangle(corner, *size, transform=self.figure.transFigure, zorder=-1, **style))

    def card(self, panel: Panel) -> None:
        """Draw the background and the title of a panel."""
        x, y, width, height = self.place(panel)
        gap = 0.04
        self.box(x + gap, y + gap, width - 2 * gap, height - 2 * gap, facecolor=CARD, edgecolor=EDGE, linewidth=0.8)
        self.text(x + 0.14, y + height - 0.24, panel.title, fontweight="bold")

    def axes(self, panel: Panel) -> Any:
        """Return axes inside a panel, with room for its title, the labels and a legend of two lines."""
        x, y, width, height = self.place(panel)
        left, right, above, below = 0.68, 0.18, 0.36, 0.66
        return self.figure.add_axes(
            (
                (x + left) / self.width,
                (y + below) / self.height,
                (width - left - right) / self.width,
                (height - above - below) / self.height,
            )
        )


def draw(recording: Recording, path: Path) -> None:
    """Draw all panels with their recorded series into a file."""
    canvas = Canvas(max(panel.y + panel.height for panel in panels()))
    _heading(canvas, recording)
    for panel in panels():
        series = recording.series[panel.id]
        match panel.type:
            case "row":
                x, y, _, _ = canvas.place(panel)
                canvas.text(x + 0.1, y + 0.06, panel.title, fontsize=11, fontweight="bold")
            case "stat":
                _stat(canvas, panel, [(name, points[-1][1]) for name, points in series])
            case _:
                _graph(canvas, panel, series, recording)
    file = io.StringIO()
    canvas.figure.savefig(file, format="svg", metadata={"Date": None})
    plt.close(canvas.figure)
    path.write_text(re.sub(r'(?<= d=")[^"]+', _rounded, file.getvalue()), encoding="utf-8")


def _rounded(path: re.Match[str]) -> str:
    """Return the data of an SVG path on one line and to a tenth of a point, which is enough and halves the file."""
    return " ".join(re.sub(r"(\d\.\d)\d+", r"\1", path[0]).split())


def _heading(canvas: Canvas, recording: Recording) -> None:
    ends = list(itertools.accumulate(phase.seconds for phase in recording.phases))
    starts = [0.0, *ends[:-1]]
    parts = [f"{_clock(start)} {phase.name}" for start, phase in zip(starts, recording.phases, strict=True)]
    canvas.text(0.1, canvas.height - 0.34, dashboard()["title"], fontsize=15, fontweight="bold")
    lines = (
        "Not a screenshot of Grafana: drawn from the queries of docs/grafana.json and the answers of a Prometheus"
        f" (make dashboard). Rates are over {RATE_INTERVAL} s.",
        "Two sidecars in front of a simulated API. " + "; ".join(parts) + ".",
    )
    for number, line in enumerate(lines):
        canvas.text(0.1, canvas.height - 0.6 - number * 0.21, line)


def _stat(canvas: Canvas, panel: Panel, values: Sequence[tuple[str, float]]) -> None:
    """Draw values in large type; a value that the panel maps to a text has that text and its colour."""
    canvas.card(panel)
    x, y, width, height = canvas.place(panel)
    defaults = panel.source["fieldConfig"]["defaults"]
    mapped = {key: value for one in defaults.get("mappings", ()) for key, value in one["options"].items()}
    room = (height - 0.5) / max(1, len(values))
    for number, (name, value) in enumerate(values):
        option = mapped.get(f"{value:g}", {})
        color, text = NAMED.get(option.get("color", "")), option.get("text") or _format(panel.unit, value)
        bottom = y + height - 0.36 - (number + 1) * room
        if color:
            canvas.box(x + 0.12, bottom + 0.04, width - 0.24, room - 0.08, facecolor=color)
        center = x + width / 2
        style = {"ha": "center", "va": "center", "color": "white" if color else TEXT}
        canvas.text(center, bottom + room * 0.5, text, fontsize=17, fontweight="bold", **style)
        if len(values) > 1:
            canvas.text(center, bottom + room * 0.8, name, fontsize=SMALL, **style)


def _graph(canvas: Canvas, panel: Panel, series: Sequence[tuple[str, Points]], recording: Recording) -> None:
    """Draw curves, stacked where the panel says so."""
    canvas.card(panel)
    axes = canvas.axes(panel)
    custom = panel.source["fieldConfig"]["defaults"]["custom"]
    colors = [_color(panel, name, recording) for name, _ in series]
    if custom["stacking"]["mode"] == "normal" and series:
        times = sorted({at for _, points in series for at, _ in points})
        rows = [[dict(points).get(at, 0.0) for at in times] for _, points in series]
        names = [name for name, _ in series]
        axes.stackplot(times, np.array(rows), labels=names, colors=colors, alpha=0.75, linewidth=0)
    else:
        for (name, points), color in zip(series, colors, strict=True):
            times, values = _with_gaps(points)
            axes.plot(times, values, label=name, color=color, linewidth=1.3)
    for end in itertools.accumulate(phase.seconds for phase in recording.phases[:-1]):
        axes.axvline(end, color=GREY, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)
    axes.set_xlim(0, recording.seconds)
    axes.set_ylim(bottom=0)
    if axes.get_ylim()[1] < 1e-6 or not series:
        axes.set_ylim(0, 1)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _format(panel.unit, value)))
    axes.xaxis.set_major_locator(MultipleLocator(60))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _clock(value)))
    axes.tick_params(labelsize=SMALL, length=0, colors="#555b66", pad=5)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.grid(color="#e8eaed", linewidth=0.7)
    if series:
        _legend(canvas, axes, panel, [name for name, _ in series])


def _legend(canvas: Canvas, axes: Any, panel: Panel, names: Sequence[str]) -> None:
    """Put the names below the axes, in one line or two."""
    x, y, width, _ = canvas.place(panel)
    needed = sum(0.42 + 0.062 * len(name) for name in names)  # inches
    axes.legend(
        loc="upper left",
        bbox_to_anchor=((x + 0.14) / canvas.width, (y + 0.44) / canvas.height),
        bbox_transform=canvas.figure.transFigure,
        ncols=len(names) if needed < width - 0.2 else (len(names) + 1) // 2,
        fontsize=SMALL,
        handlelength=1.0,
        handletextpad=0.4,
        columnspacing=1.0,
        borderaxespad=0,
        labelspacing=0.25,
    )


def _color(panel: Panel, name: str, recording: Recording) -> str:
    """Return the colour that the panel gives a series, or one of the palette: the same in all panels of such names."""
    for override in panel.source["fieldConfig"]["overrides"]:
        matcher = override["matcher"]
        if matcher["id"] == "byRegexp" and re.fullmatch(matcher["options"], name):
            color: str = override["properties"][0]["value"]["fixedColor"]
            return NAMED.get(color, color)
    alike = [other for other in panels() if _legends(other) == _legends(panel)]
    names = sorted({found for other in alike for found, _ in recording.series[other.id]})
    return PALETTE[names.index(name) % len(PALETTE)]


def _legends(panel: Panel) -> list[str]:
    return [query.legend for query in panel.queries]


def _with_gaps(points: Points) -> tuple[list[float], list[float]]:
    """Return times and values, with NaN where samples are missing, so that no line crosses the gap."""
    times, values = [points[0][0]], [points[0][1]]
    for (before, _), (at, value) in itertools.pairwise(points):
        if at - before > 1.5 * STEP:
            times.append((before + at) / 2)
            values.append(float("nan"))
        times.append(at)
        values.append(value)
    return times, values


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _format(unit: str, value: float) -> str:
    """Return a value with its unit, as Grafana writes it."""
    match unit:
        case "currencyUSD":
            return f"${value:,.4f}".rstrip("0") if 0 < value < 0.1 else f"${value:,.2f}"
        case "percentunit":
            return f"{value:.0%}"
        case "s":
            return f"{value:g} s" if value < 60 else f"{value / 60:g} min"
        case "reqps":
            return f"{value:g} req/s"
        case "cps":
            return f"{value:g} c/s"
    for size, letter in ((1e6, " Mil"), (1e3, " K")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
