"""Configurations that the bridge and the chart must judge alike: changes of a good one, by what they are."""

from __future__ import annotations

import copy
from typing import Any

from bridge.config.kafka_clients import REFUSED

INLET = "https://dcs.adobedc.net/collection/0123456789abcdef"
AUTH = {"token_url": "https://ims-na1.adobelogin.com/ims/token/v3", "client_id": "a"}
GOOD: dict[str, Any] = {
    "kafka": {"bootstrap_servers": "kafka:9092"},
    "aep": {"inlet_url": INLET, "ims_org_id": "0DD379AC5B117F6E0A494106@AdobeOrg"},
    "topics": [{"topic": "web"}],
}
ENTITY = {"topic": "web", "format": "entity", "dataset_id": "d", "schema_id": "https://ns.adobe.com/x"}


def topics(*entries: dict[str, Any]) -> dict[str, Any]:
    """Return a change of all topics."""
    return {"topics": list(entries)}


def aep(**changes: Any) -> dict[str, Any]:
    """Return a change of the default inlet."""
    return {"aep": changes}


def properties(**changes: Any) -> dict[str, Any]:
    """Return a change of librdkafka's properties. `__` stands for a dot."""
    return {"kafka": {"properties": {name.replace("__", "."): value for name, value in changes.items()}}}


REFUSED_BY_BOTH: dict[str, tuple[dict[str, Any], str]] = {
    "entity without dataset": (
        topics({"topic": "web", "format": "entity", "schema_id": "s"}),
        "missing property 'dataset_id'",
    ),
    "entity without schema": (
        topics({"topic": "web", "format": "entity", "dataset_id": "d"}),
        "missing property 'schema_id'",
    ),
    "entity with an empty dataset": (topics(ENTITY | {"dataset_id": None}), "got null, want string"),
    "entity without organisation": (
        {**topics(ENTITY), "aep": {"ims_org_id": None}},
        "give config.aep.ims_org_id",
    ),
    "a topic twice": (
        topics({"topic": "web"}, {"topic": "crm"}, {"topic": "web"}),
        "topics[2].topic: web is mapped twice, first as topics[0]",
    ),
    "a dead-letter topic": (
        topics({"topic": "web"}, {"topic": "web.dlq"}),
        "web.dlq is a dead-letter topic of this bridge",
    ),
    "the dead-letter topic of another topic": (
        topics({"topic": "web", "dead_letter_topic": "crm"}, {"topic": "crm"}),
        "crm is a dead-letter topic",
    ),
    "a dead-letter topic of a regex": (
        topics({"topic": "^web-.*"}, {"topic": "web-a.dlq"}),
        "web-a.dlq is a dead-letter topic",
    ),
    "a topic of parked dead letters": (
        topics({"topic": "web"}, {"topic": "web.dlq.parked"}),
        "web.dlq.parked is a dead-letter topic",
    ),
    "a topic of replay marks": (
        {**topics({"topic": "a_b.replayed"}), "kafka": {"group_id": "a b"}},
        "a_b.replayed is a dead-letter topic",
    ),
    "a name with a blank": (
        topics({"topic": "a b"}),
        "at '/config/topics/0/topic': 'a b' does not match pattern",
    ),
    "a name of dots": (topics({"topic": ".."}), "at '/config/topics/0/topic'"),
    "an empty name": (topics({"topic": ""}), "at '/config/topics/0/topic'"),
    "a long name": (topics({"topic": "a" * 246}), "set dead_letter_topic"),
    "a dead-letter topic with a blank": (
        topics({"topic": "web", "dead_letter_topic": "a b"}),
        "'a b' does not match pattern",
    ),
    "a broken regex": (topics({"topic": "^("}), "config.topics[0].topic: ^( is not a regular expression"),
    "a regex that ends with a backslash": (topics({"topic": "^web\\"}), "is not a regular expression"),
    "a regex with unbalanced parentheses": (topics({"topic": "^a)(b"}), "is not a regular expression"),
    "not a POSIX regex": (topics({"topic": "^web-\\d+"}), "write [0-9] for \\d"),
    "a regex with a POSIX class": (topics({"topic": "^web-[[:digit:]]+$"}), "write [0-9] for [[:digit:]]"),
    "a regex with a class in a set": (topics({"topic": r"^[\w-]+$"}), "no backslash inside [ ]"),
    "a regex with Python's end": (topics({"topic": r"^web\Z"}), "means something else to Kafka's C client"),
    "a lazy regex": (topics({"topic": "^web-.*?"}), "no lazy quantifiers"),
    "no topics": (topics(), "at '/config/topics': minItems"),
    "an inlet by FTP": (
        aep(inlet_url="ftp://x"),
        "at '/config/aep/inlet_url': 'ftp://x' does not match pattern",
    ),
    "an inlet without its id": (
        aep(inlet_url="https://dcs.adobedc.net/collection/"),
        "at '/config/aep/inlet_url'",
    ),
    "a topic's inlet by FTP": (
        topics({"topic": "web", "aep": {"inlet_url": "ftp://x"}}),
        "'ftp://x' does not match pattern",
    ),
    "no inlet at all": ({"aep": None}, "config.topics[0] (web) has no inlet"),
    "no secret": (aep(auth=AUTH), "config.aep.auth has no secret: put the client secret into a Secret"),
    "a topic without its secret": (
        topics({"topic": "web", "aep": {"auth": AUTH}}),
        "--set 'aep.secretKeys.topics.web=web-client-secret'",
    ),
    "a token URL by FTP": (
        aep(auth=AUTH | {"token_url": "ftp://x", "client_secret_file": "/s"}),
        "'ftp://x' does not match pattern",
    ),
    "two Authorization headers": (
        aep(auth=AUTH | {"client_secret_file": "/s"}, headers={"Authorization_file": "/s"}),
        "auth sets this header",
    ),
    "two Authorization headers of a topic": (
        {
            **aep(headers={"authorization_file": "/s"}),
            **topics({"topic": "web", "aep": {"auth": AUTH | {"client_secret_file": "/s"}}}),
        },
        "config.topics[0].headers.authorization_file: auth sets this header",
    ),
    "a header that the bridge sets": (aep(headers={"Content-Length": "1"}), "is the bridge's own to set"),
    "the name of a header with a blank": (aep(headers={"x y": "1"}), "'x y' does not match pattern"),
    "a header twice": (aep(headers={"x-a": "1", "X-A": "2"}), "given twice"),
    "a header and its file": (aep(headers={"x-a": "1", "x-a_file": "/s"}), "given twice"),
    "a header that is not ASCII": (
        aep(headers={"x-a": "ü"}),
        "config.aep.headers.x-a: must be printable ASCII",
    ),
    "an empty header": (aep(headers={"x-a": ""}), "at '/config/aep/headers/x-a': minLength"),
    "another kind of proxy": (aep(proxy_url="socks5://proxy:1080"), "proxy_url must be http://host:port"),
    "a proxy by HTTPS": (aep(proxy_url="https://proxy:3128"), "proxy_url must be http://host:port"),
    "two proxies": (aep(proxy_url="http://proxy:3128", proxy_url_file="/s"), "proxy_url is given twice"),
    "a key without a certificate": (
        aep(client_key_file="/s"),
        "client_key_file is the key of no certificate",
    ),
    "a broker with a blank": (
        {"kafka": {"bootstrap_servers": "kafka 9092"}},
        "at '/config/kafka/bootstrap_servers'",
    ),
    "one broker too many": (
        {"kafka": {"bootstrap_servers": "kafka:9092,"}},
        "at '/config/kafka/bootstrap_servers'",
    ),
    "an unknown property": (
        properties(securty__protocol="SSL"),
        "config.kafka.properties.securty.protocol: no such property of librdkafka",
    ),
    "a callback": (properties(error_cb="x"), "no such property of librdkafka"),
    "a nested property": (
        {"kafka": {"properties": {"security": {"protocol": "SSL"}}}},
        "at '/config/kafka/properties/security': got object",
    ),
    "an empty property": (properties(client__id=""), "at '/config/kafka/properties/client.id': minLength"),
    "a property without a value": (
        properties(client__id=None),
        "at '/config/kafka/properties/client.id': got null",
    ),
    "a property and its file": (
        properties(sasl__username="a", sasl__username_file="/s"),
        "given twice, here and as sasl.username",
    ),
    "a commit interval of 0": (properties(auto__commit__interval__ms=0), "0 would commit at the end only"),
    "properties of the classic group": (
        properties(group__protocol="consumer", session__timeout__ms=6000),
        "where the broker decides",
    ),
    "a request longer than a drain": (
        {"delivery": {"request_timeout_s": 60, "drain_timeout_s": 30}},
        "request_timeout_s is 60 s, more than drain_timeout_s",
    ),
    "a small window": (
        {"delivery": {"window_bytes": 1_500_000}},
        "window_bytes is 1500000, and does not hold two batches",
    ),
    "a revoke as long as a poll": (
        {"delivery": {"revoke_timeout_s": 150}},
        "not less than half of max.poll.interval.ms (300 s)",
    ),
    "a poll as short as a revoke": (
        properties(max__poll__interval__ms="20000"),
        "not less than half of max.poll.interval.ms (20 s)",
    ),
    "a large batch": ({"batch": {"max_bytes": 1_000_001}}, "at '/config/batch/max_bytes': maximum"),
    **{
        f"property {name}": (
            properties(**{name: "1"}),
            f"config.kafka.properties.{name}: not to be set here: {REFUSED[name]}",
        )
        for name in [*REFUSED][::7]
    },
}
"""Changes of a good configuration, and a part of Helm's message about each. None removes a whole section."""

REFUSED_BY_THE_BRIDGE_ONLY = {
    "a file that does not exist": aep(ca_file="/nowhere/ca.pem"),
    "a port beyond 65535": aep(proxy_url="http://proxy:99999"),
    "a URL without a host": aep(auth=AUTH | {"token_url": "https://:443/", "client_secret_file": "/s"}),
}
"""Changes of a good configuration that only the bridge refuses.

Files can be seen in the pod only, and some mistakes in an address are not worth a pattern of their own.
"""

ALLOWED_BY_BOTH = {
    "a regex": topics({"topic": "^(web|crm)-[a-z0-9._-]+$"}),
    "a regex beside a name": topics({"topic": "web-a"}, {"topic": "^web-.*"}),
    "a dead-letter topic of another name": topics(
        {"topic": "web", "dead_letter_topic": "letters"}, {"topic": "web.dlq"}
    ),
    "one dead-letter topic for all": topics(
        {"topic": "web", "dead_letter_topic": "letters"}, {"topic": "crm", "dead_letter_topic": "letters"}
    ),
    "entity": topics(ENTITY),
    "entity with an organisation of its own": {
        "aep": {"ims_org_id": None},
        **topics(ENTITY | {"aep": {"ims_org_id": "x@AdobeOrg"}}),
    },
    "envelope with nulls": topics(
        {"topic": "web", "format": "envelope", "dataset_id": None, "dead_letter_topic": None, "aep": None}
    ),
    "every topic's own inlet": {"aep": None, **topics({"topic": "web", "aep": {"inlet_url": INLET}})},
    "a batch inlet": aep(inlet_url="https://dcs.adobedc.net/collection/batch/0123?syncValidation=true"),
    "an inlet behind a gateway": aep(inlet_url="http://gateway.example:8080/adobe/collection/0123"),
    "a proxy without a scheme": aep(proxy_url="proxy:3128"),
    "no proxy": {**aep(proxy_url="http://proxy:3128"), **topics({"topic": "web", "aep": {"proxy_url": ""}})},
    "headers that are not text": aep(headers={"x-a": 1, "x-b": True}),
    "brokers": {"kafka": {"bootstrap_servers": "SSL://kafka-0:9093, [::1]:9092,10.0.0.5"}},
    "properties": properties(
        max__poll__interval__ms=600000,
        session__timeout__ms="45000",
        ssl__endpoint__identification__algorithm="none",
    ),
    "numbers as text": {"delivery": {"drain_timeout_s": 30.5, "window_bytes": 67108864}},
}
"""Unusual changes of a good configuration that are right."""


def configuration(change: dict[str, Any]) -> dict[str, Any]:
    """Return the good configuration with a change in it."""
    changed = copy.deepcopy(GOOD)
    for section, value in change.items():
        changed[section] = changed.get(section, {}) | value if isinstance(value, dict) else value
    if changed.get("aep"):
        changed["aep"] = {name: value for name, value in changed["aep"].items() if value is not None}
    return changed
