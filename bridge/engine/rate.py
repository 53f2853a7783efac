"""How many messages a second an inlet takes, learned from its 429s. Pure: `now` is an argument, in seconds."""

from __future__ import annotations

import math


class Throughput:
    """Messages a second that got through since the last `restart`; what is longer ago than `add`'s span counts ever less."""

    __slots__ = ("_messages", "_since")

    def __init__(self) -> None:
        self._messages, self._since = 0.0, math.nan

    def restart(self, now: float) -> None:
        """Counts from nothing."""
        self._messages, self._since = 0.0, now

    def add(self, messages: int, now: float, span_s: float) -> None:
        """So many more."""
        if math.isnan(self._since):
            self._since = now
        elif (passed := now - self._since) > span_s:
            self._messages *= span_s / 2 / passed
            self._since = now - span_s / 2
        self._messages += messages

    def per_s(self, now: float) -> float:
        """Messages a second; 0 where nothing got through."""
        return self._messages / max(1.0, now - self._since) if self._messages else 0.0


class Rate:
    """Messages a second: no limit until a first 429; from then on what got through between two of them, which is the quota.

    A quota is a bucket that fills evenly, and at a 429 it is empty: what was accepted between two of them is what flowed in, at whatever rate we sent.
    A 429 sets the rate a little below that. There it stays calm for a while, so that refusals stay rare, and then searches, faster and faster, until the next
    429: a quota that was raised is found within seconds, one that was not costs a request or two. TCP's CUBIC looks for bandwidth in much the same way.

    Where other replicas use the quota too, what got through is no measure of it. Each knows its share all the same, by the partitions that it holds (`hold`):
    it starts small, searches that much more rarely, yields a little at each 429 and drifts upwards between them, which makes the shares equal.
    """

    CUT = 0.98
    """What a search that met a 429 leaves of what got through or, where others use the quota too, of what was there before it."""
    YIELD = 0.85
    """What a 429 in the calm leaves: the quota sank, or others search. Who has more of it meets more of them, as far as requests are of one size."""
    HALF = 0.5
    """The most that one 429 takes."""
    DRIFT = 0.0525
    """Of a request's messages, that all replicas together add each second: who has little of the quota grows by more of it than who has much.

    Of the request that the whole quota would allow, by the own rate and share, which is a full one from 5,000 messages a second on. The own request is as
    small as the own rate, and what grows with that evens nothing out; below those 5,000 it can't be helped, since nobody knows the quota.
    """
    CALM_S, BRIEF_S, LONG_S = 8.0, 4.0, 90.0
    """Seconds between a cut and the next search for more, for a replica alone: of a settled rate, of an unsettled one; and at most, for a small share."""
    SEARCH = 0.015
    """The rate grows by e^(SEARCH·s²) in s seconds of search: 6% after two, 45% after five, twofold after seven, 50-fold after sixteen."""
    FAR = 0.5
    """A rate is unsettled where a search added so much of the quota, or where so much is missing to the highest that held lately."""
    KNOWN_S = 30.0
    """After so many seconds that highest counts half."""
    PAUSE = 2
    """Requests that are left out after a cut, one at least and by the share: the bucket is empty, and what is under way to it finds it so."""
    VOLLEY_S = 1.0
    """429s that follow a cut within so long are of the same moment."""
    EPOCH_S, LATELY_S = 120.0, 2.0
    """Over so long at most what got through is counted where the rate is what limits, and where it isn't, or a search went far."""
    RECENT = 0.03
    """The weight of an answer in the share of requests that are refused."""
    REQUEST_S = 0.2
    """What a request holds at most, in seconds of the rate."""
    FULL = 1000
    """Messages of a full one, where the rate allows it: the default of `batch.max_messages`."""
    FEW = 10
    """Messages that it may hold whatever the rate: a batch costs memory beside that of its records."""
    LEAST = 1.0
    """Requests a second, below which the rate never sinks: each batch's own back-off does the rest."""

    __slots__ = (
        "_base", "_calm_s", "_cut_at", "_known", "_messages", "_refilled_at", "_refused", "_saturated", "_share", "_through", "_tokens", "_unsettled",
        "_used_s", "configured", "learned",
    )  # fmt: skip

    def __init__(self, configured: float | None = None) -> None:
        self.configured = configured
        """This process's share of the organisation-wide rate, where one is set."""
        self.learned = math.inf
        self._share = 1.0
        """The part of the inlet's partitions that this process holds; 1 where that isn't known."""
        self._base = math.inf
        """The learned rate without what a search has added."""
        self._known = 0.0
        self._tokens = 0.0
        self._refilled_at = math.nan
        self._through = Throughput()
        self._messages = 0.0
        """Of a request, on average."""
        self._refused = 0.0
        """The share of requests that met a 429, lately."""
        self._cut_at = -math.inf
        self._calm_s = 0.0
        self._unsettled = True
        self._used_s = 0.0
        """Since the last cut, seconds in which the rate was what limited."""
        self._saturated = False
        """Whether the rate was what limited, all the time since the last cut."""

    def configure(self, messages_per_s: float) -> None:
        """Set this process's share of the organisation-wide rate."""
        self.configured = messages_per_s

    @property
    def limit(self) -> float:
        """Messages a second; infinite where nothing limits."""
        return self.learned if self.configured is None else min(self.learned, self.configured)

    def at_most(self, messages: int) -> int:
        """How many of so many messages may share a request: what the rate gives in `REQUEST_S`, so that a small quota is used evenly."""
        return (
            messages
            if self.limit == math.inf
            else min(messages, max(self.FEW, int(self.limit * self.REQUEST_S)))
        )

    def hold(self, share: float) -> None:
        """From now on this process holds so much of the inlet's partitions, above 0: the rate moves with them."""
        if share != self._share:
            self.learned = self._base = max(
                1.0, self.LEAST * self._messages, self._base * share / self._share
            )
            self._known *= share / self._share
            self._share, self._saturated = share, False
            first_search = not self._calm_s
            self._rest(unsettled=True)
            if first_search:  # it goes on: those that start within seconds of each other search together, or one finds everything and the others nothing
                self._calm_s = 0.0

    def delay(self, now: float) -> float:
        """Seconds until the next request may go. A batch may overdraw, and the next one waits for it."""
        self._refill(now)
        limit = self.limit
        return 0.0 if limit == math.inf or self._tokens >= 0 else -self._tokens / limit

    def sent(self, messages: int, now: float) -> None:
        """A request with so many messages goes out."""
        self._messages += (messages - self._messages) * (0.1 if self._messages else 1.0)
        if self.limit != math.inf:
            self._refill(now)
            self._tokens -= messages

    def accepted(self, messages: int, now: float) -> None:
        """So many messages of a request got through."""
        self._refused *= 1 - self.RECENT
        exact = self._saturated and not self._far(self.learned)
        self._through.add(messages, now, self.EPOCH_S if exact else self.LATELY_S)

    def pushed_back(self, now: float) -> None:
        """429: cut, once a second at most. Where nothing got through since the last one, a door is shut, and no rate can be told."""
        self._refused += (1 - self._refused) * self.RECENT
        through = self._through.per_s(now)
        if not through or now - self._cut_at < self.VOLLEY_S:
            return
        first, searched = self.learned == math.inf, self._used_s > self._calm_s
        went_far = first or self._far(self.learned)
        known = max(self._known * 0.5 ** ((now - self._cut_at) / self.KNOWN_S), 0.0 if first else self._base)
        self.learned = self._base = max(
            1.0,
            self.LEAST * self._messages,
            through * self._share if first else self._cut(through, searched=searched),
        )
        self._known = max(known, self._base)
        self._rest(unsettled=went_far or self._far(self._known))
        if first:
            self._calm_s = 0.0
        self._cut_at, self._saturated = now, True
        self._tokens = min(self._tokens, -max(1.0, self.PAUSE * self._share) * self._messages)
        self._through.restart(now)

    def _cut(self, through: float, *, searched: bool) -> float:
        if self._share == 1 and (searched or self._unsettled):
            return self.CUT * max(self.HALF * self.learned, min(self.learned, through))
        if searched:
            return max(self.HALF * self.learned, self.CUT * self._base)
        return self.learned * max(self.HALF, min(self.YIELD, 1 - self._refused))

    def _far(self, rate: float) -> bool:
        """Whether a rate is so far above the base that the quota must be another one, or isn't known yet."""
        return rate > self._base * (1 + self.FAR / self._share)

    def _rest(self, *, unsettled: bool) -> None:
        """Calm begins. It is nine times as long for a third of the partitions: three search, and each search is met by the others too."""
        self._unsettled, self._used_s = unsettled, 0.0
        self._calm_s = min(self.LONG_S, (self.BRIEF_S if unsettled else self.CALM_S) / self._share**2)

    def _refill(self, now: float) -> None:
        if (limit := self.limit) != math.inf and not math.isnan(self._refilled_at):
            passed = max(0.0, now - self._refilled_at)
            if (
                self._tokens < 0 and limit == self.learned
            ):  # only while it is what limits: an idle inlet learns nothing
                self._grow(min(passed, -self._tokens / limit))
            self._tokens += passed * self.limit
            if self._tokens > self.limit * 0.1:
                self._tokens = self.limit * 0.1
                self._saturated = False
        self._refilled_at = now

    def _grow(self, used_s: float) -> None:
        """Drifts upwards in the calm, searches after it."""
        self._used_s += used_s
        self._base += self.DRIFT * min(self.FULL * self._share, self.REQUEST_S * self._base) * used_s
        self.learned = self._base * math.exp(
            self.SEARCH * min(40.0, max(0.0, self._used_s - self._calm_s)) ** 2
        )
