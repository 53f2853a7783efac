"""The chart docs/performance.svg: CPU µs per event of each run, split by kind of thread. Pure."""

from __future__ import annotations

from bench.report.figures import Figure, figure_of, figures_by_name
from bench.report.results import Results
from bench.report.svg import GRID, INK, grid_step, opening, text
from bench.report.tables_throughput import STEP_NAMES

_COLOURS = {"client": "#8d99ae", "main": "#2f6f9f", "others": "#e09f3e"}
_KINDS = {
    "client": "Kafka's client",
    "main": "the loop: validate, batch, send, settle",
    "others": "other threads: connecting, the admin port",
}
_LEFT, _WIDTH, _ROW, _TOP = 290, 560, 28, 64


def bar_chart(results: Results) -> str:
    """Return one bar for each run. The line on it reaches from the cheapest round to the dearest."""
    costs = {step: figure_of(results, "throughput", step, "cpu_s_per_million") for step in STEP_NAMES}
    runs = {step: cost for step, cost in costs.items() if cost is not None}
    most = max((cost.high for cost in runs.values()), default=1.0)
    height = _TOP + _ROW * max(1, len(runs)) + 40
    out = opening(_LEFT + _WIDTH + 60, height, "CPU microseconds per event, by run and kind of thread")
    out.append(text(16, 26, "CPU µs per event (median of the rounds; the line shows their spread)", size=15))
    out += _legend()
    out += _grid(most, height)
    for row, (step, cost) in enumerate(runs.items()):
        split = figures_by_name(results, "throughput", step, "split_us")
        out += _bar(_TOP + _ROW * row + 4, STEP_NAMES[step].replace("`", ""), cost, split, most)
    return "\n".join([*out, "</svg>", ""])


def _legend() -> list[str]:
    out, x = [], 16.0
    for kind, name in _KINDS.items():
        square = f'<rect x="{x:.0f}" y="38" width="12" height="12" fill="{_COLOURS[kind]}"/>'
        out.append(square + text(x + 18, 49, name))
        x += 40 + 7 * len(name)
    return out


def _grid(most: float, height: int) -> list[str]:
    out, value, step = [], 0.0, grid_step(most)
    while value <= most:
        x = _LEFT + _WIDTH * value / most
        line = f'<path d="M{x:.1f} {_TOP}V{height - 36}" stroke="{GRID}"/>'
        out.append(line + text(x, height - 18, f"{value:g}", anchor="middle"))
        value += step
    return out


def _bar(y: int, name: str, cost: Figure, split: dict[str, Figure], most: float) -> list[str]:
    out = [text(_LEFT - 10, y + 15, name, anchor="end")]
    total = sum(part.median for part in split.values()) or 1.0
    x = float(_LEFT)
    for kind, colour in _COLOURS.items():
        width = _WIDTH * cost.median / most * (split[kind].median / total if kind in split else 0.0)
        out.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="20" fill="{colour}"/>')
        x += width
    low, high = (_LEFT + _WIDTH * value / most for value in (cost.low, cost.high))
    spread = f"M{low:.1f} {y + 10}H{high:.1f}M{low:.1f} {y + 6}v8M{high:.1f} {y + 6}v8"
    out.append(f'<path d="{spread}" stroke="{INK}" stroke-width="1.5" fill="none"/>')
    out.append(text(max(x, high) + 6, y + 15, f"{cost.median:.2f}"))
    return out
