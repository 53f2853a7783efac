"""Which endpoint responds to a request: an inlet, the token endpoint, or the administration."""

from __future__ import annotations

import time
from dataclasses import replace

from bridge.simulator import admin
from bridge.simulator.accounting import RequestSummary
from bridge.simulator.collection import CollectionEndpoint
from bridge.simulator.fault_responses import apply_faults
from bridge.simulator.http import HttpRequest, HttpResponse, Transmission, json_response
from bridge.simulator.state import SimulatorState


class Router:
    """Responds to every request, and records those that are not the administration's."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state
        self._collection = CollectionEndpoint(state)

    def respond(self, request: HttpRequest) -> HttpResponse:
        """Respond to a request that was read completely."""
        if request.path.startswith(admin.PATH):
            return admin.respond(request, self._state)
        parts = _parts(request.path)
        response = self._endpoint_response(request, parts)
        response = replace(response, delay_s=response.delay_s + self._state.latency_s())
        self._record(request, response, ingest=parts[:1] == ["collection"])
        return response

    def respond_early(self, request: HttpRequest) -> HttpResponse | None:
        """Respond to a request of which only the headers were read; None if its body is to be read."""
        parts = _parts(request.path)
        if request.method != "POST" or parts[:1] != ["collection"]:
            return None
        response = self._collection.respond_early(request, parts[-1])
        if response is not None:
            self._record(request, response, ingest=True)
        return response

    def _endpoint_response(self, request: HttpRequest, parts: list[str]) -> HttpResponse:
        match parts:
            case ["collection", "batch", inlet] if request.method == "POST":
                return self._collection.respond(request, inlet, is_batch=True)
            case ["collection", inlet] if request.method == "POST":
                return self._collection.respond(request, inlet, is_batch=False)
            case ["ims", "token", "v3"] if request.method == "POST":
                return self._token_response(request)
            case ["collection", *_] | ["ims", "token", "v3"]:
                return json_response(405, {"error": "only POST"})
            case _:
                return json_response(404, {"error": "no such address"})

    def _token_response(self, request: HttpRequest) -> HttpResponse:
        config = self._state.config
        faults = self._state.faults.for_request("token", None, request)

        def usual() -> HttpResponse:
            return self._state.tokens.respond(request, config)

        return apply_faults(faults, "token", usual, config.clock_skew_s)

    def _record(self, request: HttpRequest, response: HttpResponse, *, ingest: bool) -> None:
        is_plain = response.transmission is Transmission.PLAIN
        outcome = str(response.status) if is_plain else response.transmission.value
        summary = RequestSummary(
            time.time(), request.path, outcome, request.size, response.messages, response.rule
        )
        self._state.accounting.record_request(summary, request.headers, ingest=ingest)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]
