from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.environment.process import ChildProcess

StartScript = Callable[..., ChildProcess]


@pytest.fixture
def start_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StartScript:
    """Start a child process of the bench that runs this code."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    numbers = itertools.count()

    def start(code: str, **options: Any) -> ChildProcess:
        name = f"script_{next(numbers)}"
        (tmp_path / f"{name}.py").write_text(code)
        return ChildProcess([name], tmp_path / f"{name}.log", **options)

    return start
