"""Problems of a configuration, and how a message names the key that it is about."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""The way to a value: keys of mappings and indexes of lists, such as ("topics", 1, "dataset_id")."""

HIDDEN = "…"
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class Problem(NamedTuple):
    """What is wrong with the value at a key, and what to do about it. Holds no secret."""

    key_path: KeyPath
    """Relative to the model that reports the problem."""
    text: str


class InvalidSettings(ValueError):
    """Raised by a validator of a model that has several problems to report."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [f"{dotted(path)}: {text}" if path else text for path, text in self.problems]
        super().__init__("; ".join(lines))


def dotted(key_path: KeyPath) -> str:
    """Return a key path as people write it: `topics[1].dataset_id`.

    A key with unusual characters could be anything, even a secret in the wrong place, and is shown as `…`.
    """
    text = ""
    for part in key_path:
        shown = str(part) if isinstance(part, int) or _PLAIN_KEY.fullmatch(part) else HIDDEN
        text += f"[{shown}]" if isinstance(part, int) else f".{shown}" if text else shown
    return text
