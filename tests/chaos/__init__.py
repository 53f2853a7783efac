"""The fault campaign: a real Kafka cluster, a local AEP, replicas as processes, and a seeded fault schedule.

`make chaos` runs it; docs/reliability.md says what it tests and what it found. In the order of reading:

- `campaign` runs the faults of `process_faults`, `aep_faults` and `network_faults` in the order of the seed;
- `harness` starts what a campaign needs: `cluster`, `network`, `accounting`, `producer`, `replica_set`;
- `journal` and `timeline` have what a campaign notes while it runs;
- `evaluation` compares all of it at the end, with `event_checks`, `duplicates` and `detection`;
- `report` writes the figures into docs/reliability.md.
"""
