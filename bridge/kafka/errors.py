"""What the Kafka client's error texts about TLS leave out, or get wrong. Pure."""

from __future__ import annotations

import re

_UNVERIFIED = "certificate verify failed"
_ALERT = re.compile(r"SSL alert number (\d+)")
_ABOUT_OUR_CERTIFICATE = frozenset({42, 43, 44, 45, 46, 48, 116})
"""TLS alerts: bad, unsupported, revoked, expired, unknown certificate, unknown authority, certificate required."""

BROKER_CERTIFICATE_ADVICE = "its authority is not known (ssl.ca.location), it is for another name, or not valid today; aep-bridge check says which"
CLIENT_CERTIFICATE_ADVICE = "the listener wants a client's certificate that it trusts: set ssl.certificate.location and ssl.key.location (or ssl.keystore.location) in kafka.properties"


def broker_certificate_refused(error: str) -> bool:
    """Whether the client refused the brokers' certificate. Its text names the authority alone, whatever the reason was."""
    return _UNVERIFIED in error


def client_certificate_refused(error: str) -> bool:
    """Whether the brokers refused ours, or that we have none."""
    return any(int(number) in _ABOUT_OUR_CERTIFICATE for number in _ALERT.findall(error))


def explain(error: str) -> str:
    """The client's text, and what it leaves out."""
    if broker_certificate_refused(error):
        return f"{error}; {BROKER_CERTIFICATE_ADVICE}"
    return f"{error}; {CLIENT_CERTIFICATE_ADVICE}" if client_certificate_refused(error) else error
