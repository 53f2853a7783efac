"""What each key of the configuration holds, read from the settings' models."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel

from bridge.config.settings import Settings


class KeyType(NamedTuple):
    """What a key holds."""

    kind: Literal["section", "list", "mapping", "value"]
    """A `mapping` has keys that the user chooses: headers, properties. The items of a `list` are sections."""
    content: Any
    """The model of a section or of a list's items, or the Python type of a value."""

    def below(self, part: str | int) -> KeyType | None:
        """Return what the key or the item `part` holds, or None if there is no such key."""
        if self.kind == "section" and part in self.content.model_fields:
            return key_type(self.content.model_fields[part].annotation)
        if self.kind == "list" and isinstance(part, int):
            return KeyType("section", self.content)
        if self.kind == "mapping" and isinstance(part, str):
            return KeyType("value", str)
        return None


def key_type(annotation: Any) -> KeyType:
    """Return what a key with this annotation holds."""
    origin = get_origin(annotation)
    if origin in {Union, UnionType, Annotated}:
        return key_type(next(choice for choice in get_args(annotation) if choice is not NoneType))
    if origin is tuple:
        return KeyType("list", get_args(annotation)[0])
    if origin is dict:
        return KeyType("mapping", None)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return KeyType("section", annotation)
    return KeyType("value", annotation)


ROOT = KeyType("section", Settings)
