"""`aep-bridge config`: for people and for scripts, with secrets masked."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tests.operators.conftest import ROOT, aep_bridge, write


def test_show_schema_and_explain(tmp_path: Path) -> None:
    """Text and JSON say the same; a key that is not there is exit code 2, with the one that was meant."""
    config = yaml.safe_load((ROOT / "config" / "minimal.yaml").read_text())
    config["kafka"]["properties"] = {"sasl.password": "secret-canary"}
    file = write(config, tmp_path / "bridge.yaml")
    text = aep_bridge("config", "show", "-c", file).stdout
    assert "secret-canary" not in text
    assert yaml.safe_load(text) == json.loads(aep_bridge("config", "show", "-c", file, "-o", "json").stdout)
    assert "kafka" in json.loads(aep_bridge("config", "schema").stdout)["properties"]
    assert "default: 1000" in aep_bridge("config", "explain", "batch.linger_ms").stdout
    assert (
        "AEP_BRIDGE_BATCH__LINGER_MS"
        == json.loads(aep_bridge("config", "explain", "batch.linger_ms", "-o", "json").stdout)["variable"]
    )
    assert "batch.linger_ms" in aep_bridge("config", "explain", "batch.lingerms", code=2).stderr
