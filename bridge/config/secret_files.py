"""Secrets in files that keys name; pydantic-settings' own source reads files once, and misses a rotation."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from pydantic import SecretStr

FILE_SUFFIX = "_file"
"""`client_secret_file: /path` stands for the key `client_secret` with the file's content."""


def read_secret(path: Path) -> str:
    """Return the text of a file without the white space around it.

    Raises OSError, also where the file is empty or not UTF-8 text.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise OSError(errno.EINVAL, "is not UTF-8 text", str(path)) from None
    if not text:
        raise OSError(errno.EINVAL, "is empty", str(path))
    return text


def unmask(value: Any) -> Any:
    """Return a value without its mask, if it has one. For the client that needs the secret."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value
