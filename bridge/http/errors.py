"""What a request can fail with: httpx's exceptions, whose texts say what was being done and with which peer.

The folders above http/ catch them by the names in this file, so that they need not know httpx.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

HttpError = httpx.HTTPError
"""Any failure of a request, time-outs included."""
HttpTimeout = httpx.TimeoutException
"""The request's deadline has passed."""


class ResponseTooLarge(httpx.RemoteProtocolError):
    """The response was larger than the request allowed; the connection is closed."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"the response is larger than {max_bytes} bytes")


TransportErrorClass = Callable[[str], httpx.TransportError]


@contextmanager
def translate_os_errors(
    activity: str, peer: str, timeout_error: TransportErrorClass, other_error: TransportErrorClass
) -> Iterator[None]:
    """Raise an OSError of the body as one of the two given errors of httpx."""
    try:
        yield
    except OSError as error:
        raise as_httpx_error(error, activity, peer, timeout_error, other_error) from error


def as_httpx_error(
    error: OSError,
    activity: str,
    peer: str,
    timeout_error: TransportErrorClass,
    other_error: TransportErrorClass,
) -> httpx.TransportError:
    """Return the system's error as one of the two given errors of httpx.

    The text starts with `activity` and `peer`, as in "connecting to aep.example:443: Connection refused".
    """
    if isinstance(error, TimeoutError):
        reason = error.args[-1] if error.args and error.args[-1] else "out of time"
        return timeout_error(f"{activity} {peer}: {reason}")
    if isinstance(error, ssl.SSLCertVerificationError):
        return other_error(f"{activity} {peer}: its certificate is not trusted: {error.verify_message}")
    file = f": {error.filename}" if error.filename else ""
    return other_error(f"{activity} {peer}: {error.strerror or error}{file}")
