"""`aep-bridge skip` on its way to the bridge: who gives the order, and what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from click.testing import Result
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from bridge.cli import app
from bridge.config.secret_files import read_secret
from bridge.ops.admin_app import AdminOperations
from bridge.ops.admin_server import AdminServer


class Desk:
    """An admin port that keeps the orders it gets, and the command that gives them."""

    def __init__(self, folder: Path) -> None:
        self.orders: list[tuple[object, ...]] = []
        self.token, self.file = folder / "admin-token", folder / "token"
        for file in (self.token, self.file):
            file.write_text("open sesame\n")
        self.admin = AdminServer(
            AdminOperations(
                CollectorRegistry(),
                lambda: None,
                lambda: None,
                dict,
                token=lambda: read_secret(self.token),
                skip=self._skip,
            ),
            "127.0.0.1",
            0,
        )
        self.url = f"http://127.0.0.1:{self.admin.port}"

    def _skip(self, *order: object) -> Future[str]:
        self.orders.append(order)
        done: Future[str] = Future()
        done.set_result("moved to t.dlq")
        return done

    def order(self, *more: str, record: str = "t/0/1", admin: str | None = None) -> Result:
        given = [
            "skip",
            record,
            "--why",
            "ticket 4711",
            "--token-file",
            str(self.file),
            "--admin",
            admin or self.url,
            *more,
        ]
        result = CliRunner().invoke(app, given)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    running = Desk(tmp_path)
    running.admin.start()
    yield running
    running.admin.stop()


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be a user without a name, as in the image. pytest makes the folder first, since it looks
    who owns it.
    """
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 65_532_000)
    return tmp_path


@pytest.mark.usefixtures("nobody")
def test_a_user_without_a_name_has_to_say_who_it_is(desk: Desk) -> None:
    """`kubectl exec` gives a number that everybody gets, and an audit needs a person."""
    refused = desk.order()

    assert (refused.exit_code, desk.orders) == (2, [])
    assert "uid 65532000" in refused.stderr
    assert "say with --who" in refused.stderr
    assert desk.order("--who", "ada").exit_code == 0
    assert desk.orders == [("t", 0, 1, "ada", "ticket 4711")]


def test_a_user_with_a_name_need_not(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is the one in the audit."""
    monkeypatch.setenv("LOGNAME", "grace")

    assert desk.order().exit_code == 0
    assert desk.orders == [("t", 0, 1, "grace", "ticket 4711")]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xff\xfeopen", "is not UTF-8 text"),
        (b" \n", "is empty"),
        ("öffne".encode(), "printable ASCII"),
        (b"open\nsesame", "printable ASCII"),
    ],
)
def test_a_token_file_that_holds_no_token_is_named_and_not_shown(
    desk: Desk, content: bytes, text: str
) -> None:
    """What the file holds may be another secret."""
    desk.file.write_bytes(content)
    refused = desk.order("--who", "ada")

    assert (refused.exit_code, desk.orders) == (2, [])
    assert f"{desk.file}: " in refused.stderr
    assert text in refused.stderr
    assert "sesame" not in refused.output


@pytest.mark.parametrize(("content", "text"), [(b"\xff\xfeopen", "is not UTF-8 text"), (b"", "is empty")])
def test_a_bridge_whose_token_file_holds_none_says_so(desk: Desk, content: bytes, text: str) -> None:
    """It lets nobody in, with whatever token."""
    desk.token.write_bytes(content)
    refused = desk.order("--who", "ada")

    assert (refused.exit_code, desk.orders) == (1, [])
    assert f"the admin token can't be read: {text}" in refused.stderr


@pytest.mark.parametrize(
    ("record", "admin", "more", "code", "text"),
    [
        ("t/0/²", None, (), 2, "write TOPIC/PARTITION/OFFSET"),
        ("t/0/1", "http://[::1", (), 2, "write it like http://10.0.0.7:8080"),
        ("t/0/1", "localhost:8080", (), 3, "is this the admin port"),
        ("t/0/1", None, ("--why", "\udcff"), 2, "must be text in UTF-8"),
    ],
)
def test_a_mistyped_argument_is_an_error_that_says_what_to_write(
    desk: Desk, record: str, admin: str | None, more: tuple[str, ...], code: int, text: str
) -> None:
    """A traceback would hide what to do."""
    refused = desk.order("--who", "ada", *more, record=record, admin=admin)

    assert (refused.exit_code, desk.orders) == (code, [])
    assert text in refused.stderr
