"""`aep-bridge config`: for people and for scripts, with secrets masked."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tests.operators.conftest import ROOT, aep_bridge, write


def test_show_prints_the_same_as_text_and_json_and_no_secret(tmp_path: Path) -> None:
    """People paste the output into tickets."""
    config = yaml.safe_load((ROOT / "config" / "minimal.yaml").read_text())
    config["kafka"]["properties"] = {"sasl.password": "secret-canary"}
    file = write(config, tmp_path / "bridge.yaml")
    text = aep_bridge("config", "show", "-c", file).stdout
    as_json = aep_bridge("config", "show", "-c", file, "-o", "json").stdout

    assert "secret-canary" not in text + as_json
    assert yaml.safe_load(text) == json.loads(as_json)


def test_schema_prints_the_json_schema() -> None:
    """Editors and Helm read it."""
    assert "kafka" in json.loads(aep_bridge("config", "schema").stdout)["properties"]


def test_explain_prints_a_key_in_words() -> None:
    """Text for people, JSON for scripts. An unknown key ends with exit code 2 and the key that is nearest."""
    text = aep_bridge("config", "explain", "batch.linger_ms").stdout
    as_json = json.loads(aep_bridge("config", "explain", "batch.linger_ms", "-o", "json").stdout)
    error = aep_bridge("config", "explain", "batch.lingerms", code=2).stderr

    assert "default: 1000" in text
    assert as_json["variable"] == "AEP_BRIDGE_BATCH__LINGER_MS"
    assert "batch.linger_ms" in error
