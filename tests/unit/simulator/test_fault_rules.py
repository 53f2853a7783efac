"""A fault rule that could never work is refused when it is written."""

from __future__ import annotations

import pytest

from bridge.simulator import Rule


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        ({"action": "status", "every": 0}, "`every` is at least 1"),
        ({"action": "drip", "bytes_per_s": 0}, "`bytes_per_s` is more than 0"),
        ({"action": "status", "probability": 1.5}, "`probability` is between 0 and 1"),
        ({"action": "huge", "early": True}, "garbage, hang, reset, status"),
        ({"action": "status", "early": True, "accepted": True}, "nothing is accepted"),
        ({"action": "status", "early": True, "contains": "x"}, "no body is read"),
    ],
)
def test_a_rule_that_could_never_work_is_an_error(keys: dict[str, object], error: str) -> None:
    """A mistake in a rule must not look like a bridge that survives the fault."""
    with pytest.raises(ValueError, match=error):
        Rule(**keys)  # type: ignore[arg-type]
