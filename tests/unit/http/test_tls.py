"""TLS's files."""

from __future__ import annotations

import pytest

from bridge.http.tls import Tls


def test_a_missing_file_is_named() -> None:
    """The operator has to know which of the three files is not there."""
    with pytest.raises(OSError, match=r"nowhere\.pem"):
        Tls("nowhere.pem").context()
