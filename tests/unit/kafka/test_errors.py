"""The client's texts about certificates, explained."""

from __future__ import annotations

import pytest

from bridge.kafka.errors import BROKER_CERTIFICATE_ADVICE, CLIENT_CERTIFICATE_ADVICE, explain

PREFIX = "ssl://127.0.0.1:9093/bootstrap: SSL handshake failed: error:0A000086:SSL routines:"
VERIFY_FAILED = f"{PREFIX}:certificate verify failed: broker certificate could not be verified"


def alert(number: int) -> str:
    return f"{PREFIX}:tlsv13 alert: SSL alert number {number}"


def test_an_untrusted_broker_certificate_is_explained() -> None:
    """The client's text names the authority alone, even if the certificate has expired or is for another
    name.
    """
    assert explain(VERIFY_FAILED) == f"{VERIFY_FAILED}; {BROKER_CERTIFICATE_ADVICE}"


@pytest.mark.parametrize("number", [42, 46, 116])
def test_an_alert_about_the_clients_certificate_is_explained(number: int) -> None:
    """The client's text has the alert's number, and does not say whose certificate is meant."""
    assert explain(alert(number)) == f"{alert(number)}; {CLIENT_CERTIFICATE_ADVICE}"


@pytest.mark.parametrize("error", [alert(40), "Connection refused", ""])
def test_other_errors_stay_as_they_are(error: str) -> None:
    """Alert 40 (handshake failure) has many causes; advice about certificates would mislead."""
    assert explain(error) == error
