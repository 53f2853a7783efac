"""aep-bridge delivers events from Kafka to Adobe Experience Platform's streaming ingestion, and loses none.

                         ┌──────── engine/: one thread, driven by the turn in engine/loop ────────────┐
                         │                                                                            │
Kafka ─► kafka/consumer ─┼─► intake ───► codec/validation ───► batcher                                │
           read()        │     │         groups of records       │  a batch is full,                  │
           slices        │     │                                 │  or has waited long enough         │
                         │     │ batch took offset               ▼                                    │
                         │     ▼                             dispatcher ◄──► delivery ◄──► inlet      │
Kafka ◄─ kafka/consumer ◄┼─ offsets ◄───────── Settled ────────┤    ▲        judges        limits     │
           store()       │  watermarks                         │    │                                 │
                         └─────────────────────────────────────┼────┼─────────────────────────────────┘
                                                 BatchRequest  │    │  BatchResponse
                                           PublishDeadLetters  │    │  PublishResult
                                                               ▼    │
                                 aep/sender, kafka/dead_letters ──► http/reactor
                                      │             │
                                      ▼             ▼
                                     AEP          Kafka

Everything in the box runs on one thread. That thread also owns the Kafka consumer and the open connections
to AEP. What has to be waited for elsewhere (a name, a connection, TLS, a token, an acknowledgement of
Kafka) has a thread of its own. All replies meet at one queue, the reactor.

What holds at every moment:

- An offset is stored only when every record at or below it in its partition is settled: accepted by AEP,
  acknowledged in its dead-letter topic, or skipped by a rule of the configuration. Kafka's client commits
  what is stored. Beside it, only an offset that went backwards with its topic is committed.
- A record is dead-lettered only for what it is. The bridge waits for the end of outages, and for correct
  credentials, addresses and limits.
- A lane is one assignment of one partition, or the part of it since its offsets went backwards. What comes
  back for a lane that has ended moves no offset.
- The event's own bytes go out. They are checked and spliced, never parsed and serialised again.
- Memory is bounded. What is read and not settled fits into the window of each inlet; otherwise reading
  stops.

`engine/`, `codec/` and `model.py` know no clock, no thread and no client; the engine reaches the world
through `ports.py`. So the simulation in `tests/simulation` runs this very engine. `app/` puts the real
parts together.

docs/explanation/architecture.md has the folders, a record's way through them, the threads and the words.
"""

__version__ = "0.1.0"
