"""Whether the brokers answer, over which protocol, and if not, why: a password, a
certificate, a name, a firewall.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from bridge.check.certificate import certificate_fault
from bridge.check.findings import TIMEOUT_S, Finding, Level
from bridge.config.settings import Settings
from bridge.kafka.client_errors import PropertiesRefused, Unreachable
from bridge.kafka.errors import (
    CLIENT_CERTIFICATE_ADVICE,
    broker_certificate_refused,
    client_certificate_refused,
)
from bridge.kafka.probe import BrokerProbe, Obstacle

_PATIENCE_S = 3.0
"""How long an address that is refused or unknown may still come up; the client tries it
again all the time.
"""

_AUTHORITY = (
    "set ssl.ca.location in kafka.properties to the PEM file of the authority that signed the brokers' "
    "certificates"
)
_SETTINGS = (
    "check kafka.bootstrap_servers, and security.protocol, sasl.* and ssl.* in kafka.properties, "
    "against the brokers' listener"
)
_CLOSED = (
    "the connection is closed without a word: does security.protocol in kafka.properties fit the listener "
    "(TLS, SASL)?"
)


@dataclass(frozen=True, slots=True)
class _Cause:
    """What an obstacle means."""

    obstacle: Obstacle
    next_step: str
    patience_s: float = 0.0
    """How long to go on trying before this is taken for the cause."""
    unreachable: bool = False


_CAUSES = (
    _Cause(
        Obstacle.AUTHENTICATION,
        "check sasl.mechanism, sasl.username and the password in kafka.properties "
        "(better: sasl.password_file)",
    ),
    _Cause(Obstacle.TLS, _AUTHORITY),
    _Cause(
        Obstacle.RESOLVE,
        "check the names in kafka.bootstrap_servers, and DNS",
        _PATIENCE_S,
        unreachable=True,
    ),
    _Cause(
        Obstacle.TRANSPORT,
        "check kafka.bootstrap_servers, firewalls, and that security.protocol fits the brokers' listener",
        _PATIENCE_S,
        unreachable=True,
    ),
)
"""The most telling one first: a client that meets several of them is judged by the first."""


def check(settings: Settings) -> Finding:
    """Ask the brokers until they answer, or until it is clear why they do not."""
    servers = settings.kafka.bootstrap_servers
    try:
        probe = BrokerProbe(settings.admin_properties())
    except (PropertiesRefused, OSError) as problem:  # OSError: a file with a secret
        return Finding(Level.FAIL, "brokers", f"{servers}: {problem}", _SETTINGS)
    protocol = settings.kafka.text_of("security.protocol", "plaintext")
    where = f"{servers} over {protocol}"
    started = time.monotonic()
    while True:
        try:
            count = probe.count_brokers(timeout_s=1)
        except Unreachable as problem:
            last_error = str(problem)
        else:
            return Finding(Level.OK, "brokers", f"{count} of them answer over {protocol}")
        elapsed_s = time.monotonic() - started
        if failure := _certificate_failure(settings, probe, where) or _failure(probe, where, elapsed_s):
            return failure
        if elapsed_s >= TIMEOUT_S:
            text = f"{where}: {last_error}; {_CLOSED}"
            return Finding(Level.FAIL, "brokers", text, _SETTINGS, unreachable=True)


def _certificate_failure(settings: Settings, probe: BrokerProbe, where: str) -> Finding | None:
    """Return what is wrong with the brokers' certificate or ours; None where the cause is something else."""
    for error in probe.texts:
        if client_certificate_refused(error):
            return Finding(Level.FAIL, "brokers", f"{where}: {_shortened(error)}", CLIENT_CERTIFICATE_ADVICE)
        if broker_certificate_refused(error):
            text, next_step = certificate_fault(settings) or (_shortened(error), _AUTHORITY)
            return Finding(Level.FAIL, "brokers", f"{where}: {text}", next_step)
    return None


def _failure(probe: BrokerProbe, where: str, elapsed_s: float) -> Finding | None:
    """Return the failure that the most telling of the client's errors means; None while none is certain."""
    for cause in _CAUSES:
        error = probe.text(cause.obstacle)
        if error is not None and elapsed_s >= cause.patience_s:
            text = f"{where}: {_shortened(error)}"
            return Finding(Level.FAIL, "brokers", text, cause.next_step, cause.unreachable)
    return None


def _shortened(error: str) -> str:
    """Return the client's text without its own state, `(after 3ms in state CONNECT)`, which helps nobody."""
    return error.rpartition(" (after ")[0] or error
