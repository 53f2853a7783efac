"""The table of the quota's scenarios. Pure."""

from __future__ import annotations

from bench.report.goals import NOT_MEASURED
from bench.report.markdown import table
from bench.report.quota_curves import REFUSED_WINDOW_S, SHARE_WINDOW_S, WINDOW_S, quota_figures
from bench.report.results import Results


def quota(results: Results) -> str:
    """Return the figures of each scenario."""
    head = (
        "scenario",
        "used once settled",
        "answered 429",
        f"worst {REFUSED_WINDOW_S} s of 429",
        "least share",
        f"worst {SHARE_WINDOW_S} s of a share",
        "95% of the raised quota after",
        f"least of {WINDOW_S} s once settled",
        f"most of {WINDOW_S} s, messages/s",
    )
    rows = []
    for name, (run, *_) in results.get("quota", {}).get("runs", {}).items():
        if not run:
            rows.append((name, NOT_MEASURED, *["–"] * 7))
            continue
        figures = quota_figures(run)
        recovered_s = figures["recovered_s"]
        rows.append(
            (
                name,
                _percent(figures["used"], 1),
                _percent(figures["refused"], 2),
                _percent(figures["worst_refused"], 2),
                _percent(figures["least_share"]),
                _percent(figures["worst_share"]),
                "–" if recovered_s is None else f"{recovered_s:.0f} s",
                _percent(figures["least"]),
                f"{figures['most']:,.0f}",
            )
        )
    return table(head, rows)


def _percent(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:.{digits}%}"
