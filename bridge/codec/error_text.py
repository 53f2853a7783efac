"""The error text in what AEP responds, for a whole request and for one message of it."""

from __future__ import annotations

from typing import Any

import msgspec

from bridge.codec import lone_surrogates

NO_TEXT = "no error text"
MAX_CHARACTERS = 500
"""Of a body that is not Adobe's problem JSON."""
UNREADABLE = (msgspec.DecodeError, RecursionError, ValueError)
"""What a decoder raises for bytes that are no JSON, no UTF-8, or nested too deeply."""


class ErrorFields(msgspec.Struct):
    """Where Adobe's services write an error text: each service uses another of these fields."""

    message: Any = None
    report: Any = None
    title: Any = None

    def text(self) -> str:
        """Return the most specific text there is, on one line."""
        report = self.report.get("message") if isinstance(self.report, dict) else self.report
        for field in (self.message, report, self.title):
            if isinstance(field, str) and field:
                return _on_one_line(field)
        return NO_TEXT


_problem = msgspec.json.Decoder(ErrorFields)


def error_text(response: bytes) -> str:
    """Return the error text of a response that refuses a whole request.

    It is taken from Adobe's problem JSON; of any other body it is the first 500 characters.
    """
    try:
        fields = lone_surrogates.decode(_problem, response)
    except UNREADABLE:
        # White space shrinks, so a little more than what is kept has to be read.
        start = response[: 4 * MAX_CHARACTERS].decode("utf-8", "replace")
        return _on_one_line(start)[:MAX_CHARACTERS] or NO_TEXT
    return fields.text()


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
