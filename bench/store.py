"""The results as a JSON file: a line for each run, so that a diff shows what moved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.figures import Results


def read(path: Path) -> Results:
    """Nothing where there is no file."""
    found: Results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def write(path: Path, results: Results) -> None:
    """Floats to five significant digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = []
    for part, found in results.items():
        head = [f'    "{key}": {_line(value)}' for key, value in found.items() if key != "runs"]
        runs = [
            f"      {json.dumps(step, ensure_ascii=False)}: [\n        {_rounds(each)}\n      ]"
            for step, each in found["runs"].items()
        ]
        parts.append(
            f'  "{part}": {{\n'
            + ",\n".join([*head, '    "runs": {\n' + ",\n".join(runs) + "\n    }"])
            + "\n  }"
        )
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def _rounds(rounds: list[Any]) -> str:
    return ",\n        ".join(_line(each) for each in rounds)


def _line(value: Any) -> str:
    return json.dumps(_short(value), ensure_ascii=False)


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_short(each) for each in value]
    if isinstance(value, float):
        return int(value) if value.is_integer() else float(f"{value:.5g}")
    return value
