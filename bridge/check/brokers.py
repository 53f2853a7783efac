"""Whether the brokers answer, over which protocol, and why not: the client's own errors tell of passwords and certificates, its exceptions do not."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from bridge.check.certificate import fault
from bridge.check.findings import TIMEOUT_S, Finding, Level
from bridge.config.settings import Settings
from bridge.kafka.errors import CLIENT_CERTIFICATE, unverified, wants_certificate

_SOON_S = 3.0
"""An address that is refused, or not known, is given so long."""

_AUTHORITY = "set ssl.ca.location in kafka.properties to the PEM file of the authority that signed the brokers' certificates"
_CAUSES: tuple[tuple[int, str, float, bool], ...] = (
    (
        KafkaError._AUTHENTICATION,
        "check sasl.mechanism, sasl.username and the password in kafka.properties (better: sasl.password_file)",
        0,
        False,
    ),
    (KafkaError._SSL, _AUTHORITY, 0, False),
    (KafkaError._RESOLVE, "check the names in kafka.bootstrap_servers, and DNS", _SOON_S, True),
    (
        KafkaError._TRANSPORT,
        "check kafka.bootstrap_servers, firewalls, and that security.protocol fits the brokers' listener",
        _SOON_S,
        True,
    ),
)
"""From the most telling one on: the client's error, what to do, how long to go on trying, and whether it means that the brokers are away."""
_SILENT = "the connection is closed without a word: does security.protocol in kafka.properties fit the listener (TLS, SASL)?"


def reached(settings: Settings) -> tuple[AdminClient | None, Finding]:
    """An admin client of brokers that answer, or None; and the finding."""
    heard: dict[int, str] = {}
    servers, protocol = (
        settings.kafka.bootstrap_servers,
        settings.kafka.text_of("security.protocol", "plaintext"),
    )
    do = "check kafka.bootstrap_servers, and security.protocol, sasl.* and ssl.* in kafka.properties, against the brokers' listener"
    started = time.monotonic()
    listens: dict[str, Any] = {"error_cb": lambda error: heard.setdefault(error.code(), error.str())}
    try:
        admin = AdminClient(settings.admin_properties() | listens)
    except (KafkaException, OSError) as problem:
        text = problem.args[0].str() if isinstance(problem, KafkaException) else str(problem)
        return None, Finding(Level.FAIL, "brokers", f"{servers}: {text}", do)
    while True:
        try:
            cluster = admin.list_topics(timeout=1)
        except KafkaException as problem:
            last = problem.args[0].str()
        else:
            return admin, Finding(
                Level.OK, "brokers", f"{len(cluster.brokers)} of them answer over {protocol}"
            )
        admin.poll(0)
        tried = time.monotonic() - started
        if found := _of_certificates(settings, heard.values()):
            return None, Finding(Level.FAIL, "brokers", f"{servers} over {protocol}: {found[0]}", found[1])
        for code, advice, patience, away in _CAUSES:
            if code in heard and tried >= patience:
                return None, Finding(
                    Level.FAIL,
                    "brokers",
                    f"{servers} over {protocol}: {_told(heard[code])}",
                    advice,
                    unreachable=away,
                )
        if tried >= TIMEOUT_S:
            return None, Finding(
                Level.FAIL, "brokers", f"{servers} over {protocol}: {last}; {_SILENT}", do, unreachable=True
            )


def _of_certificates(settings: Settings, heard: Iterable[str]) -> tuple[str, str] | None:
    """What is wrong with their certificate or ours, and what to do; None where it is something else."""
    for error in heard:
        if wants_certificate(error):
            return _told(error), CLIENT_CERTIFICATE
        if unverified(error):
            return fault(settings) or (_told(error), _AUTHORITY)
    return None


def _told(text: str) -> str:
    """Without the client's own state, which says nothing to people."""
    return text.rpartition(" (after ")[0] or text
