"""aep-bridge delivers events from Kafka to Adobe Experience Platform's streaming ingestion, and loses none.

One thread owns the Kafka consumer, the connections to AEP and all state. What has to be waited for elsewhere (a name, a connection, TLS, a token) has a
thread of its own, and the dead-letter producer has one; they meet at one queue.

                     ┌────────────────── one thread: the pump ──────────────────┐
    Kafka ─ source.read() ─ slices ─ routing.sort() ─ batcher.add() ─ Batch ─ delivery ─► Post ───────► POST ─► answer ─┐
                     │        │          └ refused before sending: a batch whose │                                      │
                     │        │            verdict is known already              ├─► DeadLetter ─► acknowledged ────────┤
                     │     ledger.took(lane, batch, offset)                      ├─► Wait: a timer, no thread           │
    Kafka ◄ source.store(watermarks) ◄ ledger.resolve(lane, batch) ◄ Settled ◄───┴──────────── completions ◄────────────┘

What holds at every moment:

- An offset is stored only when every record at or below it in its partition is accepted by AEP, acknowledged in its dead-letter topic, or skipped by a
  configured rule. The client commits what is stored, and nothing else commits.
- A record is dead-lettered only for what it is. Outages, credentials, addresses and limits are waited for.
- A lane is one assignment of one partition; what comes back for a lane that has ended moves nothing.
- The event's own bytes go out. They are checked and spliced, never parsed and printed again.
- Memory is bounded: what is read and not settled fits each inlet's window, or reading stops.

The pure rooms (`model`, `routing`, `payload`, `halfpairs`, `batcher`, `ledger`, `delivery`, `inlet`, `limits`) know no clock, no thread and no client; `pump`
reaches the world through `ports`. So the simulation in `tests/simulation` runs this very engine. `service` puts the real parts together.
"""

__version__ = "0.1.0"
