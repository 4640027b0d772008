"""Style of the pictures. The same figures give the same file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt

# Okabe and Ito's colours, which color-blind readers can distinguish.
ORANGE, BLUE, GREEN, SKY, RED, PINK, GREY = "#E69F00", "#0072B2", "#009E73", "#56B4E9", "#D55E00", "#CC79A7", "#777777"
OPTILLM, OURS, AUTO = ORANGE, BLUE, GREEN

mpl.rcParams.update(
    {
        "svg.hashsalt": "cepo",  # makes the ids in the file reproducible
        "svg.fonttype": "none",  # small and searchable
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#dddddd",
        "legend.frameon": False,
        "figure.facecolor": "white",
        "figure.constrained_layout.use": True,
    }
)


def canvas(width: float = 7.0, height: float = 3.2, **options: Any) -> tuple[Any, Any]:
    """Return a figure of this size in inches, and its axes."""
    return plt.subplots(figsize=(width, height), **options)


def save(figure: Any, folder: Path, name: str, alt: str) -> str:
    """Write `name`.svg into the folder, and return its Markdown for the page."""
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)
    return f"![{alt}](benchmarks/{name}.svg)"
