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
    """The process, and what it printed once it listened."""
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


def test_it_says_where_it_listens_and_how_to_get_there() -> None:
    """The printed snippet leads to a working inlet; SIGTERM ends it with 0."""
    with running("--require-auth", "--inlet", "abc", "--org", "me@AdobeOrg") as (process, printed):
        inlet_url = re.search(r"inlet_url: (\S+)", printed)
        token_url = re.search(r"token_url: (\S+)", printed)
        secret = re.search(r"client_secret: (\S+)", printed)

        assert inlet_url
        assert token_url
        assert secret
        assert inlet_url[1].endswith("/collection/abc")
        assert "ims_org_id: me@AdobeOrg" in printed
        form = {
            "client_id": "bridge",
            "client_secret": secret[1],
            "grant_type": "client_credentials",
            "scope": "openid",
        }
        token = httpx.post(token_url[1], data=form).json()["access_token"]
        batch_url = inlet_url[1].replace("/collection/", "/collection/batch/")

        assert httpx.post(batch_url, json={"messages": [{}]}).status_code == 401
        assert (
            httpx.post(
                batch_url, json={"messages": [{}]}, headers={"Authorization": f"Bearer {token}"}
            ).status_code
            == 207
        )
        process.send_signal(signal.SIGTERM)

        assert process.wait(10) == 0


def test_its_defaults_need_no_credentials() -> None:
    """The snippet has no auth block, and the rate limit is the option's."""
    with running("--rate", "2") as (_, printed):
        url = re.search(r"inlet_url: (\S+)/collection/", printed)

        assert url
        assert "auth" not in printed
        assert DEFAULT_ORG in printed
        codes = [
            httpx.post(f"{url[1]}/collection/batch/{DEFAULT_INLET}", json={"messages": [{}, {}]}).status_code
            for _ in range(2)
        ]
        assert codes == [207, 429]


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--tls-cert", "x"), "belong together"), (("--tls-cert", "x", "--tls-key", "y"), "can't")],
)
def test_wrong_options_are_exit_code_2(options: tuple[str, ...], said: str) -> None:
    """With a message that says what is wrong."""
    done = subprocess.run(
        [*COMMAND, "--port", "0", *options], capture_output=True, text=True, check=False, timeout=30
    )

    assert done.returncode == 2
    assert said in done.stderr
