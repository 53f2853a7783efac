"""The error text of a response that refuses a whole request."""

from __future__ import annotations

import pytest

from bridge.codec.error_text import error_text

PROBLEM = (
    b'{"type":"http://ns.adobe.com/x","status":400,"title":"Invalid XDM Message Format",'
    b'"report":{"message":"inletId: [i]  unknown"}}'
)


@pytest.mark.parametrize(
    ("response", "text"),
    [
        (PROBLEM, "inletId: [i] unknown"),
        (b'{"title":"Invalid"}', "Invalid"),
        (b'{"status":"401","message":"Ims service token is empty"}', "Ims service token is empty"),
        (b'{"message":"no good: \\ud83d"}', "no good: ?"),
        (b"", "no error text"),
        (b"{}", "no error text"),
        (b"<html>\n bad\xff gateway</html>", "<html> bad\ufffd gateway</html>"),
        (b"x" * 9000, "x" * 500),
        (b"[" * 9000, "[" * 500),
    ],
)
def test_the_error_text_of_a_refusal(response: bytes, text: str) -> None:
    """Adobe's problem JSON has one; a proxy's page is shown by its beginning, which says who refused."""
    assert error_text(response) == text
