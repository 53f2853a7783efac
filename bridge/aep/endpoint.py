"""An inlet's endpoint: where its requests go, and with what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bridge.http.connection import ProxySource
from bridge.http.oauth import TokenSource


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What the sender needs to know of one inlet."""

    name: str
    url: str
    """Of the batch endpoint."""
    headers: Mapping[str, str] | Callable[[], Mapping[str, str]] = field(default_factory=dict, repr=False)
    """The configured headers, in printable ASCII, or a function that returns the current ones: the same
    object as long as they are the same. They win over the bridge's own headers; `Authorization` only
    where there is no token source.
    """
    token: TokenSource | None = None
    proxy: ProxySource = field(default=None, repr=False)
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
