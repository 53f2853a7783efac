"""The OAuth credentials of an inlet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.settings import INLET, problems, settings

WITHOUT_SECRET = {"token_url": "https://ims.example/token", "client_id": "id"}


def test_exactly_one_client_secret_is_required() -> None:
    """With both, nobody could say which is in force."""
    both = {**WITHOUT_SECRET, "client_secret": "hush-hush", "client_secret_file": "x"}

    assert "exactly one of" in problems(aep={"inlet_url": INLET, "auth": WITHOUT_SECRET})[0]
    assert "exactly one of" in problems(aep={"inlet_url": INLET, "auth": both})[0]


def test_a_secret_file_is_read_on_each_use(tmp_path: Path) -> None:
    """A rotated secret is used without a restart. An empty file is an error, not an empty secret."""
    file = tmp_path / "secret"
    file.write_text("first\n")
    aep = settings(aep={"inlet_url": INLET, "auth": {**WITHOUT_SECRET, "client_secret_file": str(file)}}).aep
    assert aep is not None
    assert aep.auth is not None

    assert aep.auth.secret() == "first"
    file.write_text("second")
    assert aep.auth.secret() == "second"
    file.write_text(" \n")
    with pytest.raises(OSError, match="is empty"):
        aep.auth.secret()
