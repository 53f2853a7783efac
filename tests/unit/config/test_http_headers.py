"""Headers that a user configures for an inlet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.config.http_headers import is_secret_header
from tests.support.settings import INLET, problems, settings


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"content-length": "1"}, "aep.headers.content-length: is set by the bridge itself"),
        ({"x y": "1"}, "aep.headers.x y: is not a header's name"),
        ({"x": "a\nb"}, "aep.headers.x: must be printable ASCII"),
        ({"x": None}, "aep.headers.x: must be text"),
        ({"x": "1", "X": "2"}, "aep.headers.x: is given twice"),
        ({"x": "1", "x_file": "y"}, "aep.headers.x_file: is given twice"),
    ],
)
def test_a_wrong_header_is_refused(headers: dict[str, Any], expected: str) -> None:
    """It would break every request of the inlet."""
    lines = problems(aep={"inlet_url": INLET, "headers": headers})

    assert lines[0].startswith(expected), lines


def test_a_header_comes_from_a_file(tmp_path: Path) -> None:
    """`x-api-key_file` is the header x-api-key with the file's content, so that a secret can be mounted."""
    (tmp_path / "key").write_text("abc\n")
    headers = {"x-api-key_file": str(tmp_path / "key"), "a": "b"}
    aep = settings(aep={"inlet_url": INLET, "headers": headers}).aep
    assert aep is not None

    assert aep.header_values() == {"x-api-key": "abc", "a": "b"}


def test_a_header_file_holds_what_a_header_can_have(tmp_path: Path) -> None:
    """The error names the file, and shows nothing of the secret in it."""
    file = tmp_path / "key"
    file.write_text("schlüssel")
    aep = settings(aep={"inlet_url": INLET, "headers": {"x-api-key_file": str(file), "x-a": "1"}}).aep
    assert aep is not None

    assert aep.header_files == [file]
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        aep.header_values()
    assert str(file) in str(caught.value)
    assert "schl" not in str(caught.value).replace(str(file), "")


def test_only_well_known_headers_are_shown() -> None:
    """A misspelt `x-api-key` still holds the key."""
    assert not is_secret_header("X-Sandbox-Name")
    assert not is_secret_header("x-api-key_file")
    assert is_secret_header("x-api-key")
    assert is_secret_header("x-apikey")
