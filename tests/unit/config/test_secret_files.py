"""Secrets in files."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from bridge.config.secret_files import read_secret, unmask


def test_white_space_around_a_secret_does_not_count(tmp_path: Path) -> None:
    """An editor, or `echo`, ends the file with a line break."""
    (tmp_path / "secret").write_text("\n hush \n")

    assert read_secret(tmp_path / "secret") == "hush"


@pytest.mark.parametrize(("content", "expected"), [(b" \n", "is empty"), (b"\xff", "is not UTF-8 text")])
def test_a_file_without_text_is_an_error(content: bytes, expected: str, tmp_path: Path) -> None:
    """It is raised like the errors of the system, so that callers treat all of them alike."""
    (tmp_path / "secret").write_bytes(content)

    with pytest.raises(OSError, match=expected):
        read_secret(tmp_path / "secret")


def test_only_a_masked_value_is_unmasked() -> None:
    """Headers and properties hold both kinds."""
    assert unmask(SecretStr("hush")) == "hush"
    assert unmask("plain") == "plain"
    assert unmask(5) == 5
