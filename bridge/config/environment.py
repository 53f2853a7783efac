"""Environment variables as keys of the configuration; pydantic-settings' own source ignores misspelt names.

`AEP_BRIDGE_KAFKA__GROUP_ID` is `kafka.group_id`, `AEP_BRIDGE_TOPICS__0__TOPIC` is `topics[0].topic`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from bridge.config import librdkafka
from bridge.config.key_types import ROOT, KeyType
from bridge.config.problems import KeyPath
from bridge.config.secret_files import FILE_SUFFIX

PREFIX = "AEP_BRIDGE_"
DELIMITER = "__"
RESERVED = frozenset({f"{PREFIX}CONFIG", f"{PREFIX}ADMIN_TOKEN_FILE"})
"""Variables that set an option of the command line."""
_SERVICE_LINK = re.compile(PREFIX + r"(SERVICE_(HOST|PORT\w*)|PORT(_\d+_(TCP|UDP)\w*)?)")
_INDEX = re.compile(rf"{DELIMITER}(\d+){DELIMITER}")
_PROPERTIES = {librdkafka.environment_name(name): name for name in librdkafka.KNOWN}
_BOOLEANS = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}


class InvalidVariable(ValueError):
    """A variable can't be used. The message says why, and what to do; it does not show the value."""


def variable(key_path: KeyPath) -> str:
    """Return the variable of a key. The index of a list is a number in it."""
    return PREFIX + DELIMITER.join(str(part).upper() for part in key_path)


def variables(section: KeyType = ROOT, parents: KeyPath = ()) -> Iterator[str]:
    """Yield every variable that there is, with 0 for the index of a list."""
    for name in section.content.model_fields:
        key_path = (*parents, name)
        yield variable(key_path)
        key_type = section.below(name)
        if key_type is not None and key_type.kind == "list":
            key_path, key_type = (*key_path, 0), key_type.below(0)
        if key_type is not None and key_type.kind == "section":
            yield from variables(key_type, key_path)


def resolve(name: str) -> tuple[KeyPath, KeyType]:
    """Return the key that a variable sets, and what that key holds. Raises InvalidVariable."""
    if name != name.upper():
        raise InvalidVariable(f"is not written in capitals; did you mean {name.upper()}?")
    if _SERVICE_LINK.fullmatch(name):
        raise InvalidVariable(
            "comes from Kubernetes, for a Service named aep-bridge; set enableServiceLinks: false on the pod"
        )
    key_path: KeyPath = ()
    key_type = ROOT
    for part in name.removeprefix(PREFIX).split(DELIMITER):
        key = _key(part, key_type, key_path)
        below = None if key is None else key_type.below(key)
        if key is None or below is None:
            raise InvalidVariable(f"is no setting{_suggestion(name)}")
        key_path, key_type = (*key_path, key), below
    return key_path, key_type


def parse_value(text: str, key_type: KeyType) -> Any:
    """Return a variable's text as what its key holds. Raises InvalidVariable for what should be JSON.

    A number or a truth value that is none stays text, which the settings refuse with a better message.
    """
    if key_type.kind != "value":
        try:
            return json.loads(text)
        except ValueError:
            wanted = "a list" if key_type.kind == "list" else "an object"
            raise InvalidVariable(f"must be JSON, {wanted}") from None
    try:
        if key_type.content is bool:
            return _BOOLEANS[text.strip().lower()]
        if key_type.content in {int, float}:
            return key_type.content(text)
    except (ValueError, KeyError):
        return text
    return text


def _key(part: str, parent: KeyType, parents: KeyPath) -> str | int | None:
    """Return the key that one part of a variable's name means, or None if no such key can be."""
    if parent.kind == "list":
        return int(part) if part.isdecimal() and len(part) < 6 else None
    if parent.kind == "mapping":
        return _property(part) if parents[-1] == "properties" else part.lower().replace("_", "-")
    return part.lower()


def _property(part: str) -> str | None:
    """Return the librdkafka property that the last part of a variable's name means."""
    stem = part.removesuffix(FILE_SUFFIX.upper())
    if stem != part and stem in _PROPERTIES:
        return _PROPERTIES[stem] + FILE_SUFFIX
    return _PROPERTIES.get(part)


def _suggestion(name: str) -> str:
    """Return the variable that was perhaps meant, as the end of a message."""
    known = [each.removeprefix(PREFIX) for each in variables()]
    pattern = _INDEX.sub(f"{DELIMITER}0{DELIMITER}", name).removeprefix(PREFIX)
    near = get_close_matches(pattern, known, 1, 0.7)
    if not near:
        example = f"{PREFIX}KAFKA{DELIMITER}GROUP_ID"
        return f"; variables are written {PREFIX}SECTION{DELIMITER}KEY, such as {example}"
    meant = PREFIX + near[0]
    if index := _INDEX.search(name):
        meant = meant.replace(f"{DELIMITER}0{DELIMITER}", index[0])
    return f"; did you mean {meant}?"
