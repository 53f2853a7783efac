"""The sink counts for the run under which a request came."""

from __future__ import annotations

import json

import pytest

from bench.programs.sink import Sink

BODY = memoryview(b'{"messages":[1,2,3]}')


def test_a_request_belongs_to_the_run_under_which_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    """What a killed bridge has left under way does not count in the next run, and does not end it."""
    sink = Sink()
    sink.start({"run": 1, "expect": 9, "size": 1})
    older = sink.current
    assert sink.request_came(BODY, older) == 3
    sink.start({"run": 2, "expect": 3, "size": 1})
    assert sink.request_came(BODY, older) == 0
    sink.response_sent(3, older)
    run = sink.current
    assert (run.messages, run.answered, run.in_flight) == (0, 0, 0)
    sink.response_sent(sink.request_came(BODY, run), run)

    first, second, result = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first, second) == ({"started": 1}, {"started": 2})
    assert tuple(result[key] for key in ("run", "messages", "requests", "most_in_flight")) == (2, 3, 1, 1)
