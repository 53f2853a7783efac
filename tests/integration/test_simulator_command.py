"""`aep-bridge simulate` as a process of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from bridge.simulator import DEFAULT_INLET, DEFAULT_ORG

COMMAND = [
    sys.executable,
    "-u",
    "-c",
    "import typer; from bridge.cli.simulate import simulate; typer.run(simulate)",
]


@contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and what it printed until it listened."""
    process = subprocess.Popen([*COMMAND, "--port", "0", *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("Accepted:"):
            line = process.stdout.readline()
            assert line, lines
            lines.append(line)
        yield process, "".join(lines)
    finally:
        process.kill()
        process.communicate()


def printed_value(printed: str, key: str) -> str:
    """The value of a key in the configuration that was printed."""
    match = re.search(rf"{key}: (\S+)", printed)
    assert match, printed
    return match[1]


def test_it_prints_a_configuration_that_works() -> None:
    """A user copies the snippet into a bridge's configuration; SIGTERM ends the process with 0."""
    with running("--require-auth", "--inlet", "abc", "--org", "me@AdobeOrg") as (process, printed):
        inlet_url = printed_value(printed, "inlet_url")
        form = {
            "client_id": "bridge",
            "client_secret": printed_value(printed, "client_secret"),
            "grant_type": "client_credentials",
            "scope": "openid",
        }
        token = httpx.post(printed_value(printed, "token_url"), data=form).json()["access_token"]
        batch_url = inlet_url.replace("/collection/", "/collection/batch/")
        headers = {"Authorization": f"Bearer {token}"}

        assert inlet_url.endswith("/collection/abc")
        assert printed_value(printed, "ims_org_id") == "me@AdobeOrg"
        assert httpx.post(batch_url, json={"messages": [{}]}).status_code == 401
        assert httpx.post(batch_url, json={"messages": [{}]}, headers=headers).status_code == 207
        process.send_signal(signal.SIGTERM)

        assert process.wait(10) == 0


def test_by_default_it_needs_no_credentials() -> None:
    """The snippet then has no `auth` section; and `--rate` limits the messages of a second."""
    with running("--rate", "2") as (_, printed):
        url = printed_value(printed, "inlet_url").partition("/collection/")[0]
        batch_url = f"{url}/collection/batch/{DEFAULT_INLET}"
        statuses = [httpx.post(batch_url, json={"messages": [{}, {}]}).status_code for _ in range(2)]

        assert "auth" not in printed
        assert DEFAULT_ORG in printed
        assert statuses == [207, 429]


@pytest.mark.parametrize(
    ("options", "text"),
    [(("--tls-cert", "x"), "belong together"), (("--tls-cert", "x", "--tls-key", "y"), "can't")],
)
def test_wrong_options_are_exit_code_2(options: tuple[str, ...], text: str) -> None:
    """The error names the options or the address, so that a user can correct them."""
    command = [*COMMAND, "--port", "0", *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    assert result.returncode == 2
    assert text in result.stderr
