"""Which HTTP headers a user may configure for an inlet, and which of their values may be shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import WithJsonSchema

from bridge.config.secret_files import FILE_SUFFIX, read_secret, unmask

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_RESERVED = frozenset({"content-length", "transfer-encoding", "connection", "host"})
_SHOWN = frozenset(
    {
        "accept",
        "user-agent",
        "x-adobe-flow-id",
        "x-gw-ims-org-id",
        "x-request-id",
        "x-sandbox-id",
        "x-sandbox-name",
    }
)
"""Headers that hold no secret. Any other name could hold one: a misspelt `x-api-key` does."""

HEADERS_SCHEMA = WithJsonSchema(
    {
        "type": "object",
        "propertyNames": {"pattern": f"^{_NAME.pattern}$"},
        "additionalProperties": {"type": ["string", "number", "boolean"], "minLength": 1},
    }
)


def is_secret_header(name: str) -> bool:
    """Return whether a header's value must never be shown."""
    return not name.endswith(FILE_SUFFIX) and name.lower().replace("_", "-") not in _SHOWN


def header_problem(name: str, value: object, headers: Mapping[Any, Any]) -> str | None:
    """Return what is wrong with one of the headers, and what to do about it. Never shows the value."""
    base = name.removesuffix(FILE_SUFFIX)
    text = unmask(value)
    if not _NAME.fullmatch(base):
        return "is not a header's name; use letters, digits and hyphens"
    if base.lower() in _RESERVED:
        return "is set by the bridge itself; leave it out"
    if base != name and base in headers:
        return f"is given twice, here and as {base}; leave one of them out"
    if not isinstance(text, str):
        return "must be text; put the value in quotes"
    if not text or not text.isascii() or not text.isprintable():
        return "must be printable ASCII, and not empty"
    if sum(str(other).lower() == name.lower() for other in headers) > 1:
        return "is given twice, in different case; leave one of them out"
    return None


def header_from(path: Path) -> str:
    """Return a header's value out of a file. Raises OSError, and ValueError for what no header can hold."""
    text = read_secret(path)
    if not text.isascii() or not text.isprintable():
        raise ValueError(f"{path}: holds something other than printable ASCII, which no header can have")
    return text
