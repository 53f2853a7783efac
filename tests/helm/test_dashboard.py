"""The dashboard: its queries parse, show one release at a time, and its panels do not overlap."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from tests.helm.tools import CHART, run_program

ONE_RELEASE = 'namespace="$namespace",job="$job",pod=~"$pod"'
VARIABLES = {'="$namespace"': '=~".*"', '="$job"': '=~".*"', "$pod": ".*", "$__rate_interval": "1m"}
"""Grafana's variables, and what stands for them where there is no Grafana."""


def dashboard() -> dict[str, Any]:
    return dict(json.loads((CHART / "files" / "dashboard.json").read_text()))


def expressions() -> list[str]:
    """Return every expression of the dashboard, with its variables."""
    return [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]


def dashboard_queries() -> list[str]:
    """Return every expression of the dashboard, with values for the variables that Grafana would fill in."""
    queries = expressions()
    for name, value in VARIABLES.items():
        queries = [query.replace(name, value) for query in queries]
    return queries


def test_every_query_parses(tmp_path: Path) -> None:
    """Prometheus takes each one as a recording rule."""
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(dashboard_queries())]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = run_program("promtool", "check", "rules", path)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_query_is_of_one_release() -> None:
    """Each metric is asked for in one namespace and one job, so that releases are never summed up."""
    variables = {variable["name"]: variable for variable in dashboard()["templating"]["list"]}

    for expression in expressions():
        metrics = re.findall(r"\b(?:aep_bridge|process)_\w+", expression)
        of_one_release = re.findall(rf"(\w+){re.escape('{' + ONE_RELEASE)}", expression)
        assert of_one_release == metrics, expression
    for name in ("namespace", "job"):
        assert not variables[name].get("multi")
        assert not variables[name].get("includeAll")


def test_panels_do_not_overlap() -> None:
    """Each place of the grid belongs to one panel, and no id comes twice."""
    panels = dashboard()["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        rows = range(place["y"], place["y"] + place["h"])
        cells = {(x, y) for x in columns for y in rows}

        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in panels]

    assert len(ids) == len(set(ids))
