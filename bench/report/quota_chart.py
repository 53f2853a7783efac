"""The chart docs/performance-quota.svg: accepted messages, learned rate and 429s over time, by scenario."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.quota_curves import Curves, curves
from bench.report.results import Results
from bench.report.svg import GRID, INK, grid_step, opening, text

_LEFT, _WIDTH, _HEIGHT, _GAP, _TOP = 70, 780, 170, 62, 66
_ACCEPTED, _RATE, _QUOTA, _REFUSED, _REPLICA = "#2f6f9f", "#e09f3e", "#57606a", "#a40e26", "#9cc3dd"
_LEGEND = (
    (_QUOTA, "the quota"),
    (_ACCEPTED, "accepted"),
    (_RATE, "the learned or configured rate"),
    (_REPLICA, "accepted, each replica"),
    (_REFUSED, "a second with 429s"),
)


def quota_chart(results: Results) -> str:
    """Return the panels, one below the other. Where there are several replicas, each has a thin line."""
    runs = [(name, run) for name, (run, *_) in results.get("quota", {}).get("runs", {}).items() if run]
    height = _TOP + max(1, len(runs)) * (_HEIGHT + _GAP)
    label = "Accepted messages, learned rate and 429 responses over time, by scenario"
    out = opening(_LEFT + _WIDTH + 30, height, label)
    title = "Messages per second over time, at a quota of AEP's that the bridge does not know"
    out.append(text(16, 26, title, size=15))
    x = 16.0
    for colour, name in _LEGEND:
        mark = f'<rect x="{x:.0f}" y="40" width="16" height="4" fill="{colour}"/>'
        out.append(mark + text(x + 22, 47, name))
        x += 44 + 7 * len(name)
    for row, (name, run) in enumerate(runs):
        out += _Panel(curves(run), _TOP + row * (_HEIGHT + _GAP) + 24).draw(name, run["configured"])
    return "\n".join([*out, "</svg>", ""])


class _Panel:
    """One scenario's curves, and where they are drawn."""

    def __init__(self, data: Curves, top: float) -> None:
        self._data, self._top = data, top
        self._most = max([*data.quota, *data.accepted]) * 1.05
        self._end = max(data.at)

    def draw(self, name: str, configured: float | None) -> list[str]:
        """Return the panel, the most important curve last, on top of the others."""
        data = self._data
        out = [text(_LEFT, self._top - 8, name, size=14), *self._grid(), self._refusals()]
        if len(data.by_replica) > 1:
            out += [self._curve(values, _REPLICA, 1.2) for values in data.by_replica]
        out.append(self._curve(data.quota, _QUOTA, 1.5, "6 4"))
        if configured:
            out.append(self._curve([configured] * len(data.at), INK, 1, "2 3"))
        return [*out, self._curve(data.rate, _RATE, 1.8), self._curve(data.accepted, _ACCEPTED, 2)]

    def _x(self, at: float) -> float:
        return _LEFT + _WIDTH * at / self._end

    def _y(self, value: float) -> float:
        return self._top + _HEIGHT * (1 - min(value, self._most) / self._most)

    def _grid(self) -> list[str]:
        out, value, step = [], 0.0, grid_step(self._most)
        while value <= self._most:
            y = self._y(value)
            line = f'<path d="M{_LEFT} {y:.1f}h{_WIDTH}" stroke="{GRID}"/>'
            out.append(line + text(_LEFT - 8, y + 4, f"{value:,.0f}", anchor="end", size=11))
            value += step * 2
        at, seconds = 0.0, max(1.0, grid_step(self._end))
        while at <= self._end:
            y = self._top + _HEIGHT + 16
            out.append(text(self._x(at), y, f"{at:.0f} s", anchor="middle", size=11))
            at += seconds * 2
        return out

    def _refusals(self) -> str:
        """A short line at the bottom for each second with 429s."""
        bottom = self._top + _HEIGHT
        path = ""
        for at, refused in zip(self._data.at, self._data.refused, strict=True):
            if refused:
                path += f"M{self._x(at):.1f} {bottom:.1f}v-10"
        return f'<path d="{path}" stroke="{_REFUSED}" stroke-width="2"/>' if path else ""

    def _curve(self, values: Sequence[float | None], colour: str, width: float, dashes: str = "") -> str:
        """A line through the values, interrupted where there is none."""
        path, pen = "", "M"
        for at, value in zip(self._data.at, values, strict=True):
            if value is None:
                pen = "M"
                continue
            path += f"{pen}{self._x(at):.1f} {self._y(value):.1f}"
            pen = "L"
        if not path:
            return ""
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        return f'<path d="{path}" stroke="{colour}" stroke-width="{width}" fill="none"{dashed}/>'
