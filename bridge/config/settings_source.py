"""One source for file and environment, because pydantic-settings can't lay an item of a list over the file's.

Why this is one source and not two, with the figures, is in docs/adr/0013-one-settings-source.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from bridge.config.environment import DELIMITER, PREFIX, RESERVED, InvalidVariable, parse_value, resolve
from bridge.config.problems import KeyPath
from bridge.config.secret_files import FILE_SUFFIX
from bridge.config.settings import Settings
from bridge.config.yaml_document import Document, FilePosition


class VariableProblem(NamedTuple):
    """A variable of the environment, and what is wrong with it."""

    variable: str
    text: str


class FileAndEnvironmentSource(PydanticBaseSettingsSource):
    """The file's values with the environment's over them, and where each value comes from.

    A mapping in JSON is merged over the file's mapping, key by key; a list in JSON replaces the file's list;
    everything else replaces one value.
    """

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        super().__init__(Settings)
        self.values: Any = {} if document.data is None else document.data
        self.problems: list[VariableProblem] = []
        self._positions = document.positions
        self._variables: dict[KeyPath, str] = {}
        names = [name for name in environ if name.upper().startswith(PREFIX) and name not in RESERVED]
        # Outer keys first, so that a variable for one key wins over the JSON for what is around it.
        for name in sorted(names, key=lambda name: (name.count(DELIMITER), name)):
            try:
                self._lay_over(name, environ[name])
            except InvalidVariable as problem:
                self.problems.append(VariableProblem(name, str(problem)))

    def __call__(self) -> dict[str, Any]:
        return self.values  # type: ignore[no-any-return]

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self.values.get(field_name), field_name, False

    def variable_of(self, key_path: KeyPath) -> str | None:
        """Return the variable that a value comes from, or None if it comes from the file."""
        variable: str | None = _nearest(self._variables, key_path)
        return variable

    def position_of(self, key_path: KeyPath) -> FilePosition:
        """Return where a key is written in the file, or the nearest key around it."""
        return _nearest(self._positions, key_path) or FilePosition(1, 1)

    def _lay_over(self, name: str, text: str) -> None:
        key_path, key_type = resolve(name)
        container = self._container(key_path)
        if container is None:
            return
        last = key_path[-1]
        value = parse_value(text, key_type)
        below = _get(container, last)
        if isinstance(value, dict) and isinstance(below, dict):
            below.update(value)
            self._variables.update({(*key_path, key): name for key in value})
            return
        if key_type.kind == "value":
            self._drop_alternative(container, key_path)
        container[last] = value
        self._variables[key_path] = name

    def _container(self, key_path: KeyPath) -> Any:
        """Return the mapping or list that holds a key, with what is missing on the way to it created.

        Returns None where the file has something else on the way; that is an error of the file, found later.
        """
        container: Any = self.values
        for part, following in pairwise(key_path):
            if not _can_hold(container, part):
                return None
            if _get(container, part) is None:
                container[part] = [] if isinstance(following, int) else {}
            container = container[part]
        return container if _can_hold(container, key_path[-1]) else None

    def _drop_alternative(self, container: Any, key_path: KeyPath) -> None:
        """Remove the file's other way to give the same value: `client_secret` beside `client_secret_file`."""
        *parents, last = key_path
        key = str(last)
        other = key.removesuffix(FILE_SUFFIX) if key.endswith(FILE_SUFFIX) else key + FILE_SUFFIX
        if other in container and (*parents, other) not in self._variables:
            del container[other]


def _can_hold(container: Any, part: str | int) -> bool:
    """Return whether a mapping can hold a key, or a list an item; the next item of a list is created."""
    if not isinstance(container, list) or not isinstance(part, int):
        return isinstance(container, dict)
    if part > len(container):
        raise InvalidVariable(f"is item {part} of a list that has {len(container)}; items are counted from 0")
    if part == len(container):
        container.append({})
    return True


def _get(container: Any, part: str | int) -> Any:
    return container.get(part) if isinstance(container, dict) else container[part]


def _nearest(entries: Mapping[KeyPath, Any], key_path: KeyPath) -> Any:
    """Return the entry of a key, or of the nearest key around it that has one."""
    paths = (key_path[:length] for length in range(len(key_path), 0, -1))
    return next((entries[path] for path in paths if path in entries), None)
