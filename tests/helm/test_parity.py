"""What the bridge refuses at its start, `helm install` refuses before: both get the same configurations."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.config.loader import ConfigurationError, load
from tests.helm.parity_cases import (
    ALLOWED_BY_BOTH,
    REFUSED_BY_BOTH,
    REFUSED_BY_THE_BRIDGE_ONLY,
    configuration,
)
from tests.helm.tools import run_template


def run_helm(config: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """Render the chart with a configuration."""
    values = folder / "values.yaml"
    values.write_text(yaml.safe_dump({"config": config}))
    return run_template(values=values)


def load_in_bridge(config: dict[str, Any], folder: Path) -> None:
    """Load a configuration as the bridge does at its start. Raises `ConfigurationError`.

    Files that the configuration names exist, except in /nowhere.
    """
    (folder / "secret").write_text("something")
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config).replace(": /s\n", f": {folder / 'secret'}\n"))
    load(path, {}, limit=lambda: None)


@pytest.mark.parametrize("case", REFUSED_BY_BOTH)
def test_helm_refuses_what_the_bridge_refuses(case: str, tmp_path: Path) -> None:
    """The pod would never start, so Helm has to say so first, in a message that can be read."""
    change, message = REFUSED_BY_BOTH[case]
    config = configuration(change)
    with pytest.raises(ConfigurationError):
        load_in_bridge(config, tmp_path)
    done = run_helm(config, tmp_path)

    assert done.returncode != 0
    assert message in done.stderr, done.stderr
    assert "error calling" not in done.stderr


@pytest.mark.parametrize("case", REFUSED_BY_THE_BRIDGE_ONLY)
def test_helm_takes_what_only_the_bridge_can_refuse(case: str, tmp_path: Path) -> None:
    """These are the named exceptions. If Helm refuses one some day, it belongs to the others."""
    config = configuration(REFUSED_BY_THE_BRIDGE_ONLY[case])
    with pytest.raises(ConfigurationError):
        load_in_bridge(config, tmp_path)

    assert run_helm(config, tmp_path).returncode == 0


@pytest.mark.parametrize("case", ALLOWED_BY_BOTH)
def test_helm_takes_what_the_bridge_takes(case: str, tmp_path: Path) -> None:
    """The chart is not stricter than the bridge."""
    config = configuration(ALLOWED_BY_BOTH[case])
    load_in_bridge(config, tmp_path)
    done = run_helm(config, tmp_path)

    assert done.returncode == 0, done.stderr
