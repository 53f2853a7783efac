"""The dashboard's queries parse, as Grafana would send them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from tests.helm.tools import CHART, call

BY = 'namespace="$namespace",job="$job",pod=~"$pod"'
VARIABLES = {'="$namespace"': '=~".*"', '="$job"': '=~".*"', "$pod": ".*", "$__rate_interval": "1m"}


def dashboard_queries() -> list[str]:
    """Every expression of the dashboard, with the variables that Grafana would fill in."""
    board = json.loads((CHART / "files" / "dashboard.json").read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    for name, value in VARIABLES.items():
        found = [expression.replace(name, value) for expression in found]
    return found


def test_every_query_parses(tmp_path: Path) -> None:
    """Prometheus takes each one as a recording rule."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        yaml.safe_dump(
            {
                "groups": [
                    {
                        "name": "dashboard",
                        "rules": [
                            {"record": f"query:{number}", "expr": expression}
                            for number, expression in enumerate(dashboard_queries())
                        ],
                    }
                ]
            }
        )
    )
    done = call("promtool", "check", "rules", rules)

    assert done.returncode == 0, done.stdout + done.stderr


def test_it_shows_one_release() -> None:
    """Every metric is asked for in one namespace and one job, of which one is chosen at a time: releases are never summed up together."""
    board = json.loads((CHART / "files" / "dashboard.json").read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    chosen = {variable["name"]: variable for variable in board["templating"]["list"]}

    assert all(
        re.findall(r"\b(?:aep_bridge|process)_\w+", each) == re.findall(rf"(\w+){re.escape('{' + BY)}", each)
        for each in expressions
    )
    assert not any(
        chosen[name].get("multi") or chosen[name].get("includeAll") for name in ("namespace", "job")
    )


def test_panels_do_not_overlap() -> None:
    """Each place of the grid belongs to one panel, and ids are unique."""
    board = json.loads((CHART / "files" / "dashboard.json").read_text())
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}

        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in board["panels"]]

    assert len(ids) == len(set(ids))
