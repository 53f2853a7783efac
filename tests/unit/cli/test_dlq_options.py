"""How the commands about dead letters end when something is in their way."""

from __future__ import annotations

import sqlite3

import pytest
import typer

from bridge.cli.dlq.options import open_reader
from tests.support.settings import settings


def test_a_temporary_folder_that_is_full_is_an_error_that_says_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A pod's temporary folder may be too small for the coordinates of very many dead letters."""
    with pytest.raises(typer.Exit) as ended, open_reader(settings()):
        raise sqlite3.OperationalError("database or disk is full")

    assert ended.value.exit_code == 1
    assert "SQLITE_TMPDIR" in capsys.readouterr().err


def test_a_property_that_the_client_refuses_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """It is wrong configuration, which is exit code 2, and no traceback."""
    wrong = settings(kafka={"bootstrap_servers": "a:1", "properties": {"session.timeout.ms": "soon"}})
    with pytest.raises(typer.Exit) as ended, open_reader(wrong):
        pass

    assert ended.value.exit_code == 2
    assert "session.timeout.ms" in capsys.readouterr().err
