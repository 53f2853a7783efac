"""Why the brokers' certificate is refused: one handshake more, by a library that says what it did not like."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from bridge.check.findings import TIMEOUT_S
from bridge.config.settings import Settings

_EXPIRED, _NOT_YET, _OTHER_NAME, _OTHER_ADDRESS = 10, 9, 62, 64
_RENEW = "have the brokers' certificate renewed; is this machine's clock right?"
_NAMES = (
    "kafka.bootstrap_servers, and the brokers' advertised.listeners, must name them as their certificate does"
)
_DO = {_EXPIRED: _RENEW, _NOT_YET: _RENEW, _OTHER_NAME: _NAMES, _OTHER_ADDRESS: _NAMES}
"""OpenSSL's codes, and what to do; of all others the authority is the cause."""


def fault(settings: Settings) -> tuple[str, str] | None:
    """What is wrong with the certificate of the first bootstrap server that has a wrong one, and what to do; None where it is the authority, or not known."""
    place, pem = settings.kafka.text_of("ssl.ca.location", ""), settings.kafka.text_of("ssl.ca.pem", "")
    path = Path(place) if place not in {"", "probe"} else None
    try:
        context = ssl.create_default_context(
            cafile=place if path and path.is_file() else None,
            capath=place if path and path.is_dir() else None,
            cadata=pem or None,
        )
    except (OSError, ValueError):
        return None
    for server in settings.kafka.bootstrap_servers.split(","):
        host, _, port = server.strip().rpartition("://")[2].rpartition(":")
        try:
            with (
                socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_S / 2) as plain,
                context.wrap_socket(plain, server_hostname=host.strip("[]")),
            ):
                continue
        except ssl.SSLCertVerificationError as error:
            if error.verify_code in _DO:
                return f"{server.strip()}: {error.verify_message}", _DO[error.verify_code]
        except (OSError, ValueError):
            continue
    return None
