"""SVG by hand: what the two charts have in common. Pure."""

from __future__ import annotations

from html import escape

INK, GRID = "#1b1f24", "#d8dde3"


def opening(width: int, height: int, label: str) -> list[str]:
    """Return the start of a drawing, on white, so that it can be read in a light and in a dark theme."""
    attributes = f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}"'
    font = 'font-family="sans-serif" font-size="13"'
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" {attributes} {font}>',
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>',
    ]


def text(
    x: float, y: float, content: str, *, anchor: str = "start", size: int = 13, colour: str = INK
) -> str:
    """Return a line of text."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'fill="{colour}">{escape(content)}</text>'
    )


def grid_step(most: float) -> float:
    """Return a round distance between grid lines, such that there are four to ten of them up to `most`."""
    size = 10.0 ** (len(str(int(max(1.0, most)))) - 1)
    return next(size * part for part in (0.1, 0.2, 0.5, 1.0, 2.0) if most / (size * part) <= 10)
