"""The files that the settings name, and whether they can be read at start.

pydantic-settings' own source for secrets reads them from the files of one folder, once. Here a key names each
file, and what it holds is read again after a rotation; so the settings keep the path, and not the content.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bridge.config.problems import KeyPath, Problem
from bridge.config.secret_files import FILE_SUFFIX, read_secret
from bridge.config.settings import Settings
from bridge.config.validation_errors import is_secret

_CLIENT_FILES = ("ssl.certificate.location", "ssl.key.location", "ssl.keystore.location", "ssl.crl.location")
"""Properties of librdkafka that name a file."""
_BINARY = frozenset({"ca_file", "client_cert_file", "client_key_file", *_CLIENT_FILES})
"""Certificates and keys: they need not be text."""


def file_problems(settings: Settings) -> Iterator[Problem]:
    """Yield the files that can't be read."""
    for key_path, path in named_files(settings):
        try:
            if key_path[-1] in _BINARY:
                with path.open("rb") as file:
                    file.read(1)
            else:
                read_secret(path)
        except OSError as error:
            reason = error.strerror or ""
            what = reason if reason.startswith("is ") else f"can't be read: {error.strerror}"
            # Somebody may have put the secret itself where the path should be.
            shown = "the file" if holds_secret(key_path) else path
            yield Problem(key_path, f"{shown} {what}; mount the file, or correct the path")


def holds_secret(key_path: KeyPath) -> bool:
    """Return whether the file that a key names holds a secret."""
    *parents, last = key_path
    return last == "token_file" or is_secret((*parents, str(last).removesuffix(FILE_SUFFIX)))


def named_files(value: Any, key_path: KeyPath = ()) -> Iterator[tuple[KeyPath, Path]]:
    """Yield every file that the settings name, and under which key."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from named_files(getattr(value, name), (*key_path, name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from named_files(item, (*key_path, index))
    elif isinstance(value, dict):
        for name, text in value.items():
            if name.endswith(FILE_SUFFIX) or name in _CLIENT_FILES:
                yield (*key_path, name), Path(str(text))
    elif isinstance(value, Path):
        yield key_path, value
