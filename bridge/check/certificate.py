"""Why the brokers' certificate is refused.

The Kafka client does not say it; a handshake by Python's `ssl` does.
"""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from bridge.check.findings import TIMEOUT_S
from bridge.config.settings import Settings

_EXPIRED, _NOT_YET, _OTHER_NAME, _OTHER_ADDRESS = 10, 9, 62, 64
"""OpenSSL's codes."""
_RENEW = "have the brokers' certificate renewed; is this machine's clock right?"
_NAMES = (
    "kafka.bootstrap_servers, and the brokers' advertised.listeners, must name them as their certificate does"
)
_NEXT_STEPS = {_EXPIRED: _RENEW, _NOT_YET: _RENEW, _OTHER_NAME: _NAMES, _OTHER_ADDRESS: _NAMES}
"""With every other code, the authority is the cause."""


def certificate_fault(settings: Settings) -> tuple[str, str] | None:
    """Return what is wrong with the first bootstrap server's certificate that is wrong, and what to do.

    None where the authority is the cause, or where it could not be found out.
    """
    ca_location = settings.kafka.text_of("ssl.ca.location", "")
    path = Path(ca_location) if ca_location not in {"", "probe"} else None
    try:
        context = ssl.create_default_context(
            cafile=ca_location if path and path.is_file() else None,
            capath=ca_location if path and path.is_dir() else None,
            cadata=settings.kafka.text_of("ssl.ca.pem", "") or None,
        )
    except (OSError, ValueError):
        return None
    for server in settings.kafka.bootstrap_servers.split(","):
        try:
            _handshake(server.strip(), context)
        except ssl.SSLCertVerificationError as error:
            if error.verify_code in _NEXT_STEPS:
                return f"{server.strip()}: {error.verify_message}", _NEXT_STEPS[error.verify_code]
        except (OSError, ValueError):
            continue
    return None


def _handshake(server: str, context: ssl.SSLContext) -> None:
    """Connect to a server of the form `protocol://host:port` or `host:port`, and verify its certificate."""
    host, _, port = server.rpartition("://")[2].rpartition(":")
    host = host.strip("[]")
    with (
        socket.create_connection((host, int(port)), TIMEOUT_S / 2) as connection,
        context.wrap_socket(connection, server_hostname=host),
    ):
        pass
