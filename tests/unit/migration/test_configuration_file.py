"""A first configuration: commented, loadable, and wrong ones are said to be wrong."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import yaml

from bridge.config.loader import ConfigurationError
from bridge.migration.configuration_file import (
    Answers,
    check_inlet_url,
    first_configuration,
    write_configuration,
    write_secret,
)

ANSWERS = Answers("k:9092", "aep-bridge", ("a", "b"), "https://dcs.adobedc.net/collection/ab")


def test_what_is_written_is_commented_and_means_the_same(tmp_path: Path) -> None:
    """The comments are for people: YAML must not read them as anything else."""
    config = first_configuration(ANSWERS)
    write_configuration(tmp_path / "b.yaml", config)
    text = (tmp_path / "b.yaml").read_text()

    assert yaml.safe_load(text) == config
    assert "  group_id: aep-bridge  # replicas share it" in text.splitlines()
    assert config["topics"] == [{"topic": "a", "format": "envelope"}, {"topic": "b", "format": "envelope"}]


def test_a_wrong_configuration_is_written_and_refused(tmp_path: Path) -> None:
    """The user corrects the file; the answers need not be given again."""
    config = first_configuration(Answers("k:9092", "g", ("a",), ANSWERS.inlet_url, format="entity"))
    with pytest.raises(ConfigurationError, match="dataset_id"):
        write_configuration(tmp_path / "b.yaml", config)

    assert (tmp_path / "b.yaml").exists()


def test_a_secret_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Whatever the umask allows."""
    before = os.umask(0)
    try:
        write_secret(tmp_path / "s", "canary")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
    assert (tmp_path / "s").read_text() == "canary\n"


def test_an_inlet_url_is_checked_before_the_next_question() -> None:
    """The message says what it must look like, and has no library's words around it."""
    assert check_inlet_url(f" {ANSWERS.inlet_url} ") == ANSWERS.inlet_url
    with pytest.raises(ValueError, match=r"^must be the streaming endpoint"):
        check_inlet_url("nonsense")
