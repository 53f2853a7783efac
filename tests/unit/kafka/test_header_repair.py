"""Renaming headers whose name is not UTF-8. That the installed client behaves like the records here is
shown in tests/contract/test_mock_cluster.py.
"""

from __future__ import annotations

from typing import Any

from bridge.kafka.header_repair import UNREADABLE_NAME, rename_unreadable_headers


class NullName(tuple[str, bytes | None]):
    """A header as the client returns it, with a null pointer for its name: using the name ends the
    process.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"(<NULL>, {self[1]!r})"

    def __getitem__(self, index: Any) -> Any:
        assert index == 1, "the name was used"
        return super().__getitem__(index)

    def __iter__(self) -> Any:
        raise AssertionError("the name was used")


class UnreadableRecord:
    """A record whose headers can't be read at the first access."""

    def __init__(self, headers: list[tuple[str, bytes | None]], error: Exception) -> None:
        self._headers, self._errors = headers, [error]

    def headers(self) -> list[tuple[str, bytes | None]]:
        if self._errors:
            raise self._errors.pop()
        return self._headers

    def set_headers(self, headers: list[tuple[str, bytes | None]]) -> None:
        self._headers = headers

    def offset(self) -> int:
        return 7


def test_the_value_the_order_and_all_other_headers_stay() -> None:
    """A dead letter must carry the record's own headers."""
    record = UnreadableRecord([("a", b"1"), NullName(("", b"2")), ("a", None)], SystemError())

    offsets = rename_unreadable_headers([record])  # type: ignore[list-item]  # stands for a message

    assert offsets == [7]
    assert record.headers() == [("a", b"1"), (UNREADABLE_NAME, b"2"), ("a", None)]


def test_records_with_readable_headers_are_left_alone() -> None:
    """They are repaired together with the one that could not be read."""
    record = UnreadableRecord([("é", b"1")], UnicodeDecodeError("utf-8", b"", 0, 1, ""))

    offsets = rename_unreadable_headers([record])  # type: ignore[list-item]  # stands for a message

    assert offsets == []
    assert record.headers() == [("é", b"1")]
