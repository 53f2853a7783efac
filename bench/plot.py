"""The bars of docs/performance.svg: CPU µs an event by run, split by kind of thread. SVG by hand."""

from __future__ import annotations

from html import escape

from bench.figures import Results, nested, of
from bench.tables import NAMES

COLOURS = {"client": "#8d99ae", "main": "#2f6f9f", "others": "#e09f3e"}
KINDS = {
    "client": "Kafka's client",
    "main": "the loop: check, batch, send, settle",
    "others": "other threads: connecting, the admin port",
}
INK, GRID = "#1b1f24", "#d8dde3"
_LEFT, _WIDTH, _ROW, _TOP = 290, 560, 28, 64


def opening(width: int, height: int, label: str) -> list[str]:
    """The start of a drawing, on white so that it is read in either theme."""
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}" font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>',
    ]


def text(x: float, y: float, said: str, *, anchor: str = "start", size: int = 13, colour: str = INK) -> str:
    """A line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{escape(said)}</text>'


def step_of(most: float) -> float:
    """A round distance between grid lines, such that there are four to ten of them."""
    size = 10.0 ** (len(str(int(max(1.0, most)))) - 1)
    return next(size * part for part in (0.1, 0.2, 0.5, 1.0, 2.0) if most / (size * part) <= 10)


def bars(results: Results) -> str:
    """One bar for each run; the line in it reaches from the cheapest round to the dearest."""
    found = [
        (step, whole, nested(results, "throughput", step, "split_us"))
        for step in NAMES
        if (whole := of(results, "throughput", step, "cpu_s_per_million"))
    ]
    most = max((whole.high for _, whole, _ in found), default=1.0)
    height = _TOP + _ROW * max(1, len(found)) + 40
    out = [*opening(_LEFT + _WIDTH + 60, height, "CPU microseconds an event, by run and kind of thread")]
    out.append(text(16, 26, "CPU µs an event (median of the rounds; the line shows their spread)", size=15))
    x = 16.0
    for kind, name in KINDS.items():
        out.append(
            f'<rect x="{x:.0f}" y="38" width="12" height="12" fill="{COLOURS[kind]}"/>'
            + text(x + 18, 49, name)
        )
        x += 40 + 7 * len(name)
    tick, at = step_of(most), 0.0
    while at <= most:
        place = _LEFT + _WIDTH * at / most
        out.append(
            f'<path d="M{place:.1f} {_TOP}V{height - 36}" stroke="{GRID}"/>'
            + text(place, height - 18, f"{at:g}", anchor="middle")
        )
        at += tick
    for row, (step, whole, split) in enumerate(found):
        y = _TOP + _ROW * row + 4
        out.append(text(_LEFT - 10, y + 15, NAMES[step].replace("`", ""), anchor="end"))
        total = sum(part.median for part in split.values()) or 1.0
        left = float(_LEFT)
        for kind in KINDS:
            width = _WIDTH * whole.median / most * (split[kind].median / total if kind in split else 0.0)
            out.append(
                f'<rect x="{left:.1f}" y="{y}" width="{width:.1f}" height="20" fill="{COLOURS[kind]}"/>'
            )
            left += width
        low, high = (_LEFT + _WIDTH * value / most for value in (whole.low, whole.high))
        out.append(
            f'<path d="M{low:.1f} {y + 10}H{high:.1f}M{low:.1f} {y + 6}v8M{high:.1f} {y + 6}v8" stroke="{INK}" stroke-width="1.5" fill="none"/>'
        )
        out.append(text(max(left, high) + 6, y + 15, f"{whole.median:.2f}"))
    return "\n".join([*out, "</svg>", ""])
