"""The results as a JSON file, with one line for each run of a step, so that a diff shows what moved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Results = dict[str, dict[str, Any]]
"""`{part: {"machine": …, "command": …, "took_s": …, "runs": {step: [figures, …]}}}`

There is one dict of figures for each round, and None for a round in which the step failed.
"""


def read(path: Path) -> Results:
    """Read the file; without a file there are no results."""
    results: Results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return results


def write(path: Path, results: Results) -> None:
    """Write the file, with floats rounded to five significant digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = ",\n".join(_part(part, entry) for part, entry in results.items())
    path.write_text(f"{{\n{parts}\n}}\n", encoding="utf-8")


def _part(part: str, entry: dict[str, Any]) -> str:
    lines = [f'    "{key}": {_line(value)}' for key, value in entry.items() if key != "runs"]
    steps = ",\n".join(_step(step, rounds) for step, rounds in entry["runs"].items())
    lines.append(f'    "runs": {{\n{steps}\n    }}')
    return f'  "{part}": {{\n' + ",\n".join(lines) + "\n  }"


def _step(step: str, rounds: list[Any]) -> str:
    lines = ",\n        ".join(_line(figures) for figures in rounds)
    return f"      {json.dumps(step, ensure_ascii=False)}: [\n        {lines}\n      ]"


def _line(value: Any) -> str:
    return json.dumps(_rounded(value), ensure_ascii=False)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    if isinstance(value, float):
        return int(value) if value.is_integer() else float(f"{value:.5g}")
    return value
