"""Files that the settings name."""

from __future__ import annotations

from pathlib import Path

from bridge.config.named_files import holds_secret, named_files
from tests.support.settings import INLET, settings
from tests.unit.config.conftest import MINIMAL, Loader


def test_named_files_must_be_readable_at_start(loads: Loader, tmp_path: Path) -> None:
    """A missing mount is found now, and not with the first request. Only secrets must be text."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "der").write_bytes(b"\x30\x82\xff\xfe")
    properties = f'{{"ssl.keystore.location": "{tmp_path}/der", "ssl.key.location": "{tmp_path}/none"}}'
    lines = loads.problems(
        MINIMAL + f"admin: {{token_file: {tmp_path}/empty}}\n",
        KAFKA__PROPERTIES=properties,
        AEP__CA_FILE=f"{tmp_path}/none",
    )

    assert len(lines) == 3
    assert lines[0] == "7:9: admin.token_file: the file is empty; mount the file, or correct the path"
    assert [line.split(": ")[:2] for line in lines[1:]] == [
        ["AEP_BRIDGE_KAFKA__PROPERTIES", "kafka.properties.ssl.key.location"],
        ["AEP_BRIDGE_AEP__CA_FILE", "aep.ca_file"],
    ]


def test_every_file_is_found_under_its_key() -> None:
    """Whichever section names it, and in headers and properties by the end of the name."""
    configured = settings(
        kafka={
            "bootstrap_servers": "a:1",
            "properties": {"sasl.password_file": "/p", "ssl.key.location": "/k", "client.id": "/no"},
        },
        aep={"inlet_url": INLET, "ca_file": "/c", "headers": {"x-api-key_file": "/h", "x": "/no"}},
        topics=["a", {"topic": "b", "aep": {"proxy_url_file": "/q"}}],
        admin={"token_file": "/t"},
    )

    assert dict(named_files(configured)) == {
        ("kafka", "properties", "sasl.password_file"): Path("/p"),
        ("kafka", "properties", "ssl.key.location"): Path("/k"),
        ("aep", "headers", "x-api-key_file"): Path("/h"),
        ("aep", "ca_file"): Path("/c"),
        ("topics", 1, "aep", "proxy_url_file"): Path("/q"),
        ("admin", "token_file"): Path("/t"),
    }


def test_a_path_that_could_be_a_secret_is_not_shown() -> None:
    """Somebody who confuses `client_secret` and `client_secret_file` would find the secret in the log."""
    assert holds_secret(("admin", "token_file"))
    assert holds_secret(("aep", "auth", "client_secret_file"))
    assert holds_secret(("aep", "headers", "x-api-key_file"))
    assert holds_secret(("kafka", "properties", "sasl.password_file"))
    assert not holds_secret(("aep", "ca_file"))
