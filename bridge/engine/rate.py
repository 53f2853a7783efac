"""How many messages a second an inlet takes, learned from its 429s. Time is an argument, in seconds."""

from __future__ import annotations

import math


class Throughput:
    """Messages a second that were accepted since the last `restart`.

    What was accepted longer ago than the span that `add` is given counts less and less.
    """

    __slots__ = ("_messages", "_since")

    def __init__(self) -> None:
        self._messages, self._since = 0.0, math.nan

    def restart(self, now: float) -> None:
        """Count from nothing."""
        self._messages, self._since = 0.0, now

    def add(self, messages: int, now: float, span_s: float) -> None:
        """Count messages that were accepted now."""
        if math.isnan(self._since):
            self._since = now
        elif (passed := now - self._since) > span_s:
            self._messages *= span_s / 2 / passed
            self._since = now - span_s / 2
        self._messages += messages

    def per_s(self, now: float) -> float:
        """Return the messages a second; 0 where nothing was accepted."""
        return self._messages / max(1.0, now - self._since) if self._messages else 0.0


class Rate:
    """The messages a second that may be sent. There is no limit until a first 429.

    A quota is a bucket that fills evenly, and at a 429 it is empty. So what was accepted between two 429s
    is the quota, whatever the rate at which we sent. A 429 sets the rate a little below that. The rate then
    stays calm for a while, so that refusals stay rare, and after that searches for more, faster and faster,
    until the next 429. A quota that was raised is found within seconds; one that was not costs a request or
    two. TCP's CUBIC looks for bandwidth in much the same way.

    Where other replicas use the quota too, what this process gets accepted is no measure of it. But each
    replica knows its share by the partitions that it holds (`hold`). It starts with that share, searches
    that much more rarely, gives way a little at each 429 and drifts upwards between two of them, which makes
    the shares equal.
    """

    CUT = 0.98
    """The part that is left after a search met a 429: of what was accepted, or, where others use the quota
    too, of the rate before the search."""
    YIELD = 0.85
    """The part that is left after a 429 in the calm: the quota sank, or others search. A replica with a
    larger share meets more of these, as long as requests are of one size."""
    HALF = 0.5
    """The most that one 429 takes."""
    DRIFT = 0.0525
    """The part of a request's messages that all replicas together add to their rates each second. A replica
    with a small rate grows by a larger part of it than one with a large rate, which evens the rates out.

    The request meant here is the one that the whole quota would allow, worked out from the own rate and
    share. It is a full one from 5,000 messages a second on. The own request is as small as the own rate, and
    what grows with that would even nothing out. Below 5,000 it can't be helped: nobody knows the quota.
    """
    CALM_S, BRIEF_S, LONG_S = 8.0, 4.0, 90.0
    """Seconds between a cut and the next search, for a replica alone: after a settled rate, after an
    unsettled one; and the most, for a replica with a small share."""
    SEARCH = 0.015
    """The rate grows by e^(SEARCH·s²) in s seconds of search: 6% after two, 45% after five, twofold after
    seven, 50-fold after sixteen."""
    FAR = 0.5
    """A rate is unsettled if a search has added this part to it, or if it is this part below the highest rate
    that held lately."""
    KNOWN_S = 30.0
    """Seconds after which that highest rate counts half."""
    PAUSE = 2
    """Requests that are left out after a cut, times the share, but at least one: the bucket is empty, and the
    requests that are under way find it empty too."""
    VOLLEY_S = 1.0
    """429s within so many seconds after a cut belong to that cut."""
    EPOCH_S, LATELY_S = 120.0, 2.0
    """The span over which accepted messages are counted, in seconds: while the rate is what limits, and while
    it is not or a search went far."""
    RECENT = 0.03
    """The weight of one response in the share of requests that are refused."""
    REQUEST_S = 0.2
    """The most messages of a request, in seconds of the rate."""
    FULL = 1000
    """Messages of a full request, if the rate allows it: the default of `batch.max_messages`."""
    FEW = 10
    """Messages that a request may hold at any rate: a batch costs memory beside that of its records."""
    LEAST = 1.0
    """Requests a second, below which the rate never sinks: each batch's own back-off does the rest."""

    __slots__ = (
        "_base",
        "_calm_s",
        "_cut_at",
        "_known",
        "_messages",
        "_refilled_at",
        "_refused",
        "_saturated",
        "_share",
        "_through",
        "_tokens",
        "_unsettled",
        "_used_s",
        "configured",
        "learned",
    )

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
        """Messages of a request, on average."""
        self._refused = 0.0
        """The part of the latest requests that met a 429."""
        self._cut_at = -math.inf
        self._calm_s = 0.0
        self._unsettled = True
        self._used_s = 0.0
        """Seconds since the last cut in which the rate was what limited."""
        self._saturated = False
        """Whether the rate was what limited all the time since the last cut."""

    def configure(self, messages_per_s: float) -> None:
        """Set this process's share of the organisation-wide rate."""
        self.configured = messages_per_s

    @property
    def limit(self) -> float:
        """Messages a second; infinity where nothing limits."""
        return self.learned if self.configured is None else min(self.learned, self.configured)

    def at_most(self, messages: int) -> int:
        """Return how many of these messages may share a request: what the rate gives in `REQUEST_S`.

        So a small quota is used evenly.
        """
        if self.limit == math.inf:
            return messages
        return min(messages, max(self.FEW, int(self.limit * self.REQUEST_S)))

    def hold(self, share: float) -> None:
        """Note which part of the inlet's partitions this process holds, above 0. The rate moves with it."""
        if share != self._share:
            self.learned = self._base = max(
                1.0, self.LEAST * self._messages, self._base * share / self._share
            )
            self._known *= share / self._share
            self._share, self._saturated = share, False
            first_search = not self._calm_s
            self._rest(unsettled=True)
            if first_search:
                # The first search goes on. Replicas that start within seconds of each other search together;
                # else one would find the whole quota, and the others nothing.
                self._calm_s = 0.0

    def delay(self, now: float) -> float:
        """Return the seconds until the next request may go. A batch may overdraw; the next one waits for
        it.
        """
        self._refill(now)
        limit = self.limit
        return 0.0 if limit == math.inf or self._tokens >= 0 else -self._tokens / limit

    def sent(self, messages: int, now: float) -> None:
        """Note that a request with so many messages goes out."""
        self._messages += (messages - self._messages) * (0.1 if self._messages else 1.0)
        if self.limit != math.inf:
            self._refill(now)
            self._tokens -= messages

    def accepted(self, messages: int, now: float) -> None:
        """Note that so many messages of a request were accepted."""
        self._refused *= 1 - self.RECENT
        exact = self._saturated and not self._far(self.learned)
        self._through.add(messages, now, self.EPOCH_S if exact else self.LATELY_S)

    def pushed_back(self, now: float) -> None:
        """Cut the rate for a 429, once a second at most.

        If nothing was accepted since the last 429, no rate can be told, and nothing is cut.
        """
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
        """Return whether a rate is so far above the base that the quota has changed, or isn't known yet."""
        return rate > self._base * (1 + self.FAR / self._share)

    def _rest(self, *, unsettled: bool) -> None:
        """Begin the calm. It is nine times as long for a third of the partitions.

        Three replicas search then, and each search draws 429s for the other two as well.
        """
        self._unsettled, self._used_s = unsettled, 0.0
        self._calm_s = min(self.LONG_S, (self.BRIEF_S if unsettled else self.CALM_S) / self._share**2)

    def _refill(self, now: float) -> None:
        if (limit := self.limit) != math.inf and not math.isnan(self._refilled_at):
            passed = max(0.0, now - self._refilled_at)
            if self._tokens < 0 and limit == self.learned:  # an inlet that is idle learns nothing
                self._grow(min(passed, -self._tokens / limit))
            self._tokens += passed * self.limit
            if self._tokens > self.limit * 0.1:
                self._tokens = self.limit * 0.1
                self._saturated = False
        self._refilled_at = now

    def _grow(self, used_s: float) -> None:
        """Drift upwards in the calm, and search after it."""
        self._used_s += used_s
        self._base += self.DRIFT * min(self.FULL * self._share, self.REQUEST_S * self._base) * used_s
        self.learned = self._base * math.exp(
            self.SEARCH * min(40.0, max(0.0, self._used_s - self._calm_s)) ** 2
        )
