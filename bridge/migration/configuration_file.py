"""A first configuration: made out of answers, written with comments, and read as `run` would read it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from bridge.config.loader import load
from bridge.config.settings_aep import InletUrl
from bridge.config.settings_auth import DEFAULT_SCOPE

IMS_URL = "https://ims-na1.adobelogin.com"
TOKEN_PATH = "/ims/token/v3"  # noqa: S105 - a path

_HEAD = (
    "# Written by aep-bridge init. What is left out keeps its default; "
    "aep-bridge config explain KEY explains each key."
)
_COMMENTS = {
    "kafka:": "where to read from",
    "  group_id:": "replicas share it",
    "aep:": "the inlet; a topic may have its own",
    "  inlet_url:": "AEP: Sources > HTTP API > Streaming endpoint URL",
    "  ims_org_id:": "the organisation, with @AdobeOrg",
    "    client_secret_file:": "read anew for each token",
    "topics:": "the first entry that matches a topic wins",
    "batch:": "what is left out keeps its default: aep-bridge config explain batch",
}
"""Behind the lines that begin like this."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a first configuration is made of. Empty texts are left out."""

    bootstrap_servers: str
    group_id: str
    topics: tuple[str, ...]
    inlet_url: str
    ims_org_id: str = ""
    format: str = "envelope"
    dataset_id: str = ""
    schema_id: str = ""
    client_id: str = ""
    client_secret_file: str = ""


def auth_section(
    client_id: str, secret_file: str, token_url: str = f"{IMS_URL}{TOKEN_PATH}"
) -> dict[str, str]:
    """Return the section `aep.auth` for an OAuth server-to-server credential."""
    return {
        "token_url": token_url,
        "client_id": client_id,
        "client_secret_file": secret_file,
        "scope": DEFAULT_SCOPE,
    }


def first_configuration(answers: Answers) -> dict[str, Any]:
    """Return the configuration that the answers describe."""
    aep: dict[str, Any] = {"inlet_url": answers.inlet_url}
    if answers.ims_org_id:
        aep["ims_org_id"] = answers.ims_org_id
    if answers.client_id:
        aep["auth"] = auth_section(answers.client_id, answers.client_secret_file)
    entry = {"format": answers.format, "dataset_id": answers.dataset_id, "schema_id": answers.schema_id}
    entry = {name: value for name, value in entry.items() if value}
    return {
        "kafka": {"bootstrap_servers": answers.bootstrap_servers, "group_id": answers.group_id},
        "aep": aep,
        "topics": [{"topic": topic, **entry} for topic in answers.topics],
    }


def check_inlet_url(text: str) -> str:
    """Return an inlet's URL as the configuration has it.

    Raises ValueError, which says what is wrong with it.
    """
    try:
        return str(TypeAdapter(InletUrl).validate_python(text.strip()))
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"]
        raise ValueError(message.removeprefix("Value error, ")) from None


def write_configuration(path: Path, config: Mapping[str, Any]) -> None:
    """Write a configuration, and load it, so that what is wrong with it is known now.

    Raises OSError if it can't be written, `ConfigurationError` if it is written but wrong.
    """
    path.write_text(_commented(config), encoding="utf-8")
    load(path, os.environ, limit=lambda: None)


def _commented(config: Mapping[str, Any]) -> str:
    lines = [_HEAD, ""]
    for line in yaml.safe_dump(dict(config), sort_keys=False, width=200).splitlines():
        comment = next((text for start, text in _COMMENTS.items() if line.startswith(start)), "")
        if lines[-1] and not line.startswith((" ", "-")):
            lines.append("")
        lines.append(f"{line}  # {comment}" if comment else line)
    return "\n".join(lines) + "\n"


def write_secret(path: Path, text: str) -> None:
    """Write a secret to a file that only this user may read. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
