"""Rows of panels to the JSON that Grafana imports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_COLUMNS = 24
"""Grafana's grid."""
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression, and the legend of its series; `{{label}}` in it is a label's value."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel with its queries. `unit` is one of Grafana's, such as `cps` (per second) or `s`."""

    title: str
    unit: str
    queries: tuple[Query, ...]
    kind: str = "timeseries"
    width: int = 12
    height: int = 8

    def json(self, number: int, x: int, y: int) -> dict[str, Any]:
        """Return the panel at its place in the grid."""
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "datasource": _DATASOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "fieldConfig": {"defaults": {"unit": self.unit, "min": 0}, "overrides": []},
            "targets": [
                {"refId": chr(65 + index), "expr": query.expression, "legendFormat": query.legend}
                for index, query in enumerate(self.queries)
            ],
        }


def stat(title: str, unit: str, expression: str, legend: str) -> Panel:
    """Return a small panel that shows one number."""
    return Panel(title, unit, (Query(expression, legend),), kind="stat", width=4, height=4)


def graph(title: str, unit: str, *queries: tuple[str, str]) -> Panel:
    """Return a panel that shows series over time, given as pairs of expression and legend."""
    return Panel(title, unit, tuple(Query(expression, legend) for expression, legend in queries))


@dataclass(frozen=True, slots=True)
class Row:
    """A title, and panels of one size below it."""

    title: str
    panels: tuple[Panel, ...]


def dashboard(rows: list[Row]) -> dict[str, Any]:
    """Return the whole dashboard, with variables that choose the data source, the release and its pods."""
    return {
        "uid": "aep-bridge",
        "title": "aep-bridge",
        "tags": ["aep-bridge", "kafka"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": _variables()},
        "panels": _panels(rows),
    }


def _panels(rows: list[Row]) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": _COLUMNS, "h": 1},
                "panels": [],
            }
        )
        y += 1
        x = 0
        for panel in row.panels:
            if x + panel.width > _COLUMNS:
                x, y = 0, y + panel.height
            panels.append(panel.json(len(panels) + 1, x, y))
            x += panel.width
        y += row.panels[-1].height
    return panels


def _variables() -> list[dict[str, Any]]:
    namespace, job = 'namespace="$namespace"', 'job="$job"'
    all_pods = {"text": "All", "value": "$__all"}
    pod = _variable("pod", f"label_values(aep_bridge_build_info{{{namespace},{job}}}, pod)")
    return [
        {"name": "datasource", "type": "datasource", "query": "prometheus"},
        _variable("namespace", "label_values(aep_bridge_build_info, namespace)"),
        _variable("job", f"label_values(aep_bridge_build_info{{{namespace}}}, job)"),
        pod | {"includeAll": True, "multi": True, "allValue": ".*", "current": all_pods},
    ]


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": _DATASOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
    }
