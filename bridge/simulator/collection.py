"""The collection endpoints: who may send, how much, and what becomes of each message."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from bridge.simulator.accounting import Acceptance, Accounting
from bridge.simulator.answers import Answers
from bridge.simulator.config import Config
from bridge.simulator.faults import Armed, Chosen, Faults
from bridge.simulator.http import Reply, Request, problem
from bridge.simulator.ims import Tokens
from bridge.simulator.messages import Judged, judge, judge_raw, ordering_key, split
from bridge.simulator.mischief import spoil
from bridge.simulator.rates import Bucket


class Collection:
    """Answers `POST /collection/{inlet}` and `POST /collection/batch/{inlet}`."""

    def __init__(
        self, config: Callable[[], Config], accounting: Accounting, faults: Faults, tokens: Tokens
    ) -> None:
        self._config = config
        self._accounting = accounting
        self._faults = faults
        self._tokens = tokens
        self._answers = Answers(config().seed)
        self._requests, self._messages, self._sync = Bucket(), Bucket(), Bucket()

    def reply(self, request: Request, inlet: str, *, batch: bool) -> Reply:
        """The answer, with whatever fault is due."""
        config = self._config()
        chosen = self._faults.choose("ingest", inlet, request)

        def usual() -> Reply:
            return self._usual(request, inlet, config, chosen, batch=batch)

        reply = (
            usual() if chosen.answer is None else spoil(chosen.answer, "ingest", usual, config.clock_skew_s)
        )
        return replace(reply, delay_s=reply.delay_s + chosen.delay_s)

    def early(self, request: Request, inlet: str) -> Reply | None:
        """The answer to headers whose body is not read, where a rule asks for one."""
        chosen = self._faults.choose("ingest", inlet, request, early=True)
        if chosen.answer is None:
            return None
        reply = spoil(chosen.answer, "ingest", lambda: Reply(500), self._config().clock_skew_s)
        return replace(reply, delay_s=chosen.delay_s)

    def _usual(self, request: Request, inlet: str, config: Config, chosen: Chosen, *, batch: bool) -> Reply:
        if inlet not in config.inlets:
            return problem(404, f"inletId: [{inlet}] The inlet does not exist")
        authenticated = self._tokens.valid(request.headers.get("authorization"))
        if config.require_auth and not authenticated:
            given = "authorization" in request.headers
            return problem(
                401, f"[{inlet}] Ims service token is {'invalid or expired' if given else 'empty'}"
            )
        body = _unpacked(request, config)
        if isinstance(body, Reply):
            return body
        messages = split(body) if batch else [msgspec.Raw(body)]
        if messages is None or (batch and not messages):
            return problem(400, f"inletId: [{inlet}] imsOrgId: [{config.org}] Message has unknown xdm format")
        over = self._over_rate(
            len(messages), config, sync=not batch and request.asks("syncValidation") == "true"
        )
        if over is not None:
            return replace(over, messages=len(messages))
        if config.fast:
            self._accounting.accept_uncounted(len(messages), authenticated=authenticated)
            return Reply(
                207 if batch else 200,
                self._answers.all_accepted(inlet, len(messages)),
                messages=len(messages),
            )
        raw = config.inlets[inlet] == "raw"
        if raw and "x-adobe-flow-id" not in request.headers:
            return problem(400, f"inletId: [{inlet}] The header x-adobe-flow-id is mandatory for this inlet")
        judged = [judge_raw(message) if raw else judge(message, inlet, config) for message in messages]
        poisoned, rule = _struck(judged, messages, chosen.picky)
        if poisoned is not None:
            return replace(poisoned, messages=len(messages))
        reply = self._settle(
            request,
            inlet,
            config,
            chosen,
            judged,
            messages,
            batch=batch,
            raw=raw,
            authenticated=authenticated,
        )
        return replace(reply, rule=rule)

    def _settle(
        self, request: Request, inlet: str, config: Config, chosen: Chosen, judged: Sequence[Judged], messages: Sequence[msgspec.Raw],
        *, batch: bool, raw: bool, authenticated: bool,
    ) -> Reply:  # fmt: skip
        """Records what is accepted and refused, and spells the answer."""
        shape = chosen.shape or config.shape
        accepted = [
            Acceptance(
                one.event_id,
                bytes(message) if config.keep_bytes else None,
                None
                if config.order_key is None
                else ordering_key(message, config.order_key, enveloped=not raw),
            )
            for one, message in zip(judged, messages, strict=True)
            if one.status is None
        ]
        self._accounting.refuse((one.event_id, one.status) for one in judged if one.status is not None)
        self._accounting.accept(accepted, authenticated=authenticated)
        if batch:
            return Reply(
                shape.status, self._answers.multi_status(inlet, judged, shape), messages=len(messages)
            )
        if judged[0].status is not None:
            return replace(problem(judged[0].status, judged[0].error), messages=1)
        return Reply(
            200,
            self._answers.single(inlet, shape, verdict=request.asks("syncValidation") == "true"),
            messages=1,
        )

    def _over_rate(self, messages: int, config: Config, *, sync: bool) -> Reply | None:
        within = (
            self._requests.take(1, config.requests_per_s)
            and self._messages.take(messages, config.messages_per_s)
            and (not sync or self._sync.take(1, config.sync_per_min, 60))
        )
        if within:
            return None
        headers = {} if config.retry_after_s is None else {"retry-after": str(config.retry_after_s)}
        return replace(problem(429, "Too many requests"), headers=headers)


def _unpacked(request: Request, config: Config) -> bytes | Reply:
    """The body, or why it is not taken."""
    too_large = problem(413, f"The request is larger than {config.max_bytes} bytes")
    if request.size > config.max_bytes:
        return too_large
    encoding = request.headers.get("content-encoding", "identity")
    if encoding == "identity":
        return request.body
    if encoding != "gzip" or not config.accept_gzip:
        return problem(415, f"Content-Encoding {encoding} is not supported")
    try:
        unpacked = zlib.decompressobj(wbits=31).decompress(request.body, config.max_bytes + 1)
    except zlib.error:
        return problem(400, "The body is not gzip")
    return too_large if len(unpacked) > config.max_bytes else unpacked


def _struck(
    judged: list[Judged], messages: Sequence[msgspec.Raw], picky: Sequence[Armed]
) -> tuple[Reply | None, int | None]:
    """Lets the rules about messages strike those that pass so far; a poisoned message refuses the whole request. Also the first rule that struck."""
    first = None
    for armed in picky:
        status = 400 if armed.rule.status is None else armed.rule.status
        text = armed.rule.body or "fault rule"
        hit = False
        for index, (one, message) in enumerate(zip(judged, messages, strict=True)):
            if one.status is None and armed.picks(one.event_id, message):
                hit = True
                if armed.rule.action == "poison":
                    break
                judged[index] = Judged(one.event_id, status, text)
        armed.fired += hit
        first = armed.number if hit and first is None else first
        if hit and armed.rule.action == "poison":
            return replace(problem(status, text), headers=armed.rule.headers, rule=armed.number), first
    return None, first
