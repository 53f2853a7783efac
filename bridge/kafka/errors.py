"""Explain the Kafka client's errors about TLS, whose texts leave out the cause or name a wrong one. Pure."""

from __future__ import annotations

import re

_VERIFY_FAILED = "certificate verify failed"
_ALERT = re.compile(r"SSL alert number (\d+)")
_CLIENT_CERTIFICATE_ALERTS = frozenset({42, 43, 44, 45, 46, 48, 116})
"""TLS alerts about the certificate of the side that receives them: bad, unsupported, revoked, expired,
unknown, from an unknown authority, required."""

BROKER_CERTIFICATE_ADVICE = (
    "its authority is not known (ssl.ca.location), it is for another name, or not valid today; "
    "aep-bridge check says which"
)
CLIENT_CERTIFICATE_ADVICE = (
    "the listener wants a client's certificate that it trusts: set ssl.certificate.location and "
    "ssl.key.location (or ssl.keystore.location) in kafka.properties"
)


def broker_certificate_refused(error: str) -> bool:
    """Return whether the client refused the broker's certificate.

    Its text always names the authority as the cause, even if the name or the dates are wrong.
    """
    return _VERIFY_FAILED in error


def client_certificate_refused(error: str) -> bool:
    """Return whether the broker refused the client's certificate, or refused the client for having none."""
    return any(int(number) in _CLIENT_CERTIFICATE_ALERTS for number in _ALERT.findall(error))


def explain(error: str) -> str:
    """Return the client's text, with advice where it is about certificates."""
    if broker_certificate_refused(error):
        return f"{error}; {BROKER_CERTIFICATE_ADVICE}"
    if client_certificate_refused(error):
        return f"{error}; {CLIENT_CERTIFICATE_ADVICE}"
    return error
