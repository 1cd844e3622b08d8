"""Charts as SVG within a page: bars, and lines. What stands beside them is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from banstream.pages import text

WIDTH: Final = 800
HEIGHT: Final = 220
LEFT: Final = 60
BOTTOM: Final = 24
COLOURS: Final = ("#47a", "#e67", "#283", "#cb4", "#6ce", "#a37", "#bbb", "#000")
MOST_LABELS: Final = 10


def bars(named: Sequence[tuple[str, int]]) -> str:
    """A bar for each, left to right: for what goes on in time."""
    if not named:
        return ""
    most = max(1, *(count for _, count in named))
    step = (WIDTH - LEFT) / len(named)
    every = -(-len(named) // MOST_LABELS)
    parts = [_scale(most)]
    for nth, (name, count) in enumerate(named):
        height = (HEIGHT - 2 * BOTTOM) * count / most
        left, top = LEFT + nth * step, HEIGHT - BOTTOM - height
        parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(step - 1, 0.5):.1f}" height="{height:.1f}">'
            f"<title>{text(name)}: {count}</title></rect>"
        )
        if nth % every == 0:
            parts.append(f'<text x="{left:.1f}" y="{HEIGHT - 6}">{text(name)}</text>')
    return _svg(parts)


def lines(columns: Sequence[str], rows: Mapping[str, Sequence[int]]) -> str:
    """A line for each row over the columns, with its name beside it."""
    values = [value for row in rows.values() for value in row]
    if not values:
        return ""
    most = max(*values, 1)
    step = (WIDTH - LEFT - 160) / max(len(columns) - 1, 1)
    parts = [_scale(most)]
    for nth, column in enumerate(columns):
        parts.append(f'<text x="{LEFT + nth * step:.1f}" y="{HEIGHT - 6}">{text(column)}</text>')
    for nth, (name, row) in enumerate(rows.items()):
        colour = COLOURS[nth % len(COLOURS)]
        points = [
            f"{LEFT + at * step:.1f},{HEIGHT - BOTTOM - (HEIGHT - 2 * BOTTOM) * value / most:.1f}"
            for at, value in enumerate(row)
        ]
        drawn = f'fill="none" stroke="{colour}" stroke-width="2" points="{" ".join(points)}"'
        parts.append(f"<polyline {drawn}/>")
        at_y = BOTTOM + 14 * nth
        parts.append(f'<text x="{WIDTH - 150}" y="{at_y}" fill="{colour}">{text(name)}</text>')
    return _svg(parts)


def _scale(most: int) -> str:
    return (
        f'<text x="0" y="{BOTTOM}">{most}</text><text x="0" y="{HEIGHT - BOTTOM}">0</text>'
        f'<line x1="{LEFT}" x2="{WIDTH}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}" stroke="#888"/>'
    )


def _svg(parts: Sequence[str]) -> str:
    drawn = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">{drawn}</svg>'
