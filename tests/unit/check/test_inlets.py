"""What `check` says of an inlet's response."""

from __future__ import annotations

import httpx
import pytest

from bridge.check import Finding, Level
from bridge.check.inlets import check_response
from bridge.config.settings_aep import AepSettings

INLET = AepSettings(inlet_url="https://inlet.example/collection/abc")


def findings_for(status: int, date: str, headers: dict[str, str] | None = None) -> list[Finding]:
    """Return what is found where an inlet answers like this."""
    response = httpx.Response(status, headers={"date": date})
    client = httpx.Client(transport=httpx.MockTransport(lambda _: response))
    return list(check_response(client, INLET, headers or {}, "inlet abc"))


@pytest.mark.parametrize(
    "date", ["garbage", "", "Tue, 99 Nov 2026 10:00:00 GMT", "Tue, 24 Nov 2026 10:00:00", "0"]
)
def test_a_date_that_is_none_ends_no_check(date: str) -> None:
    """A gateway may write anything there: the inlet is judged, and the clock is said to be unknown."""
    clock, inlet = findings_for(400, date)

    assert (clock.subject, clock.level) == ("clock", Level.WARN)
    assert (inlet.subject, inlet.level) == ("inlet abc", Level.OK)


@pytest.mark.parametrize(
    ("status", "level"),
    [
        (200, Level.OK),
        (400, Level.OK),
        (207, Level.OK),
        (401, Level.FAIL),
        (403, Level.FAIL),
        (302, Level.FAIL),
        (404, Level.FAIL),
        (407, Level.FAIL),
        (429, Level.WARN),
        (503, Level.WARN),
    ],
)
def test_a_status_says_whether_it_is_an_inlet_and_lets_us_in(status: int, level: Level) -> None:
    """AEP refuses a batch without messages as such (400), which only an inlet does.

    Busy ones are waited for.
    """
    _, inlet = findings_for(status, "")

    assert inlet.level is level
    assert bool(inlet.next_step) is (level is not Level.OK)


def test_an_inlet_that_is_away_is_unreachable() -> None:
    """Scripts try again on exit code 3."""

    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    client = httpx.Client(transport=httpx.MockTransport(refuse))
    (finding,) = check_response(client, INLET, {}, "inlet abc")

    assert (finding.level, finding.unreachable) == (Level.FAIL, True)
    assert finding.text == "inlet.example: refused"
