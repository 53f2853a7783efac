"""The curves of docs/performance-quota.svg: what was accepted, the learned rate and the 429s over time, a panel for each scenario. SVG by hand."""

from __future__ import annotations

from collections.abc import Sequence

from bench.curves import Curves, curves
from bench.figures import Results
from bench.plot import GRID, INK, opening, step_of, text

_LEFT, _WIDTH, _HEIGHT, _GAP, _TOP = 70, 780, 170, 62, 66
_ACCEPTED, _RATE, _QUOTA, _REFUSED, _REPLICA = "#2f6f9f", "#e09f3e", "#57606a", "#a40e26", "#9cc3dd"


def panels(results: Results) -> str:
    """One below the other. Where there are several replicas, the thin lines are each of them."""
    runs = [
        (name, curves(run), run["configured"])
        for name, (run, *_) in results.get("quota", {}).get("runs", {}).items()
        if run
    ]
    height = _TOP + max(1, len(runs)) * (_HEIGHT + _GAP)
    out = opening(
        _LEFT + _WIDTH + 30, height, "Accepted messages, learned rate and 429 answers over time, by scenario"
    )
    out.append(
        text(16, 26, "Messages a second over time, at a quota of AEP's that nobody told the bridge", size=15)
    )
    x = 16.0
    for colour, name in (
        (_QUOTA, "the quota"),
        (_ACCEPTED, "accepted"),
        (_RATE, "the learned or configured rate"),
        (_REPLICA, "accepted, each replica"),
        (_REFUSED, "a second with 429s"),
    ):
        out.append(
            f'<rect x="{x:.0f}" y="40" width="16" height="4" fill="{colour}"/>' + text(x + 22, 47, name)
        )
        x += 44 + 7 * len(name)
    for row, (name, found, configured) in enumerate(runs):
        out += _panel(name, found, configured, _TOP + row * (_HEIGHT + _GAP) + 24)
    return "\n".join([*out, "</svg>", ""])


def _panel(name: str, found: Curves, configured: float | None, top: float) -> list[str]:
    most = max([*found.quota, *found.accepted]) * 1.05
    end = max(found.at)

    def place(at: float, value: float) -> str:
        return f"{_LEFT + _WIDTH * at / end:.1f} {top + _HEIGHT * (1 - min(value, most) / most):.1f}"

    def line(values: Sequence[float | None], colour: str, width: float, dashes: str = "") -> str:
        path, pen = "", "M"
        for at, value in zip(found.at, values, strict=True):
            if value is None:
                pen = "M"
                continue
            path, pen = f"{path}{pen}{place(at, value)}", "L"
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        return (
            f'<path d="{path}" stroke="{colour}" stroke-width="{width}" fill="none"{dashed}/>' if path else ""
        )

    out = [text(_LEFT, top - 8, name, size=14)]
    tick, value = step_of(most), 0.0
    while value <= most:
        y = top + _HEIGHT * (1 - value / most)
        out.append(
            f'<path d="M{_LEFT} {y:.1f}h{_WIDTH}" stroke="{GRID}"/>'
            + text(_LEFT - 8, y + 4, f"{value:,.0f}", anchor="end", size=11)
        )
        value += tick * 2
    seconds, at = max(1.0, step_of(end)), 0.0
    while at <= end:
        out.append(
            text(_LEFT + _WIDTH * at / end, top + _HEIGHT + 16, f"{at:.0f} s", anchor="middle", size=11)
        )
        at += seconds * 2
    ticks = "".join(
        f"M{_LEFT + _WIDTH * at / end:.1f} {top + _HEIGHT:.1f}v-10"
        for at, refused in zip(found.at, found.refused, strict=True)
        if refused
    )
    out.append(f'<path d="{ticks}" stroke="{_REFUSED}" stroke-width="2"/>' if ticks else "")
    if len(found.by_replica) > 1:
        out += [line(values, _REPLICA, 1.2) for values in found.by_replica]
    out.append(line(found.quota, _QUOTA, 1.5, "6 4"))
    if configured:
        out.append(line([configured for _ in found.at], INK, 1, "2 3"))
    return [*out, line(found.rate, _RATE, 1.8), line(found.accepted, _ACCEPTED, 2)]
