"""The headers of an inlet's requests, and which parts of the configured ones are secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from bridge import __version__

_SECRET_NAME: Final = re.compile(r"authorization|cookie|key|token|secret|password", re.IGNORECASE)
_SECRET_LENGTH: Final = 12
"""From this length on, a configured header's value, or a word of it, may be a key or a token."""
_MAX_ERROR: Final = 1000
"""Characters of an error text, which goes into log lines and dead letters."""


class RequestHeaders:
    """One inlet's headers; made anew when the configured ones change."""

    def __init__(self, configured: Mapping[str, str], host: str, inlet: str) -> None:
        """Raises ValueError for what no header can hold."""
        for name, value in configured.items():
            if not (name + value).isascii() or not (name + value).isprintable():
                msg = f"the header {name!r} of inlet {inlet!r} holds something other than printable ASCII"
                raise ValueError(msg)
        headers = {
            "Host": host,
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"aep-bridge/{__version__}",
            **{name.title(): value for name, value in configured.items()},
        }
        for name in ("Content-Length", "Transfer-Encoding"):  # the connection's own
            headers.pop(name, None)
        self.configured = configured
        self.fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._fields_without_authorization = [field for field in self.fields if field[0] != b"Authorization"]
        self._last_bearer: tuple[str, list[tuple[bytes, bytes]]] = "", self.fields
        """The last bearer token, and the fields with it."""
        self.secrets = [
            part for value in configured.values() for part in (value, *value.split()) if _is_long(part)
        ]
        """Not to be shown in errors."""
        self.response_secrets = [
            part.encode()
            for name, value in configured.items()
            if _SECRET_NAME.search(name)
            for part in value.split()
            if _is_long(part)
        ]
        """Not to be shown in a response that repeats them."""

    def fields_with(self, bearer: str) -> list[tuple[bytes, bytes]]:
        """Return the fields with this token: the same object as long as it is the same token."""
        last, fields = self._last_bearer
        if last != bearer:
            authorization = b"Authorization", f"Bearer {bearer}".encode("ascii")
            fields = [*self._fields_without_authorization, authorization]
            self._last_bearer = bearer, fields
        return fields


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return the text without any of the secrets, cut to the length of a log line."""
    for secret in secrets:
        text = text.replace(secret, "…")
    return text[:_MAX_ERROR]


def _is_long(part: str) -> bool:
    return len(part) >= _SECRET_LENGTH
