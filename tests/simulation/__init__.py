"""Deterministic simulation: the engine itself, unchanged, under a seeded world.

`docs/simulation.md` describes what is simulated and what is checked.

scenario            draws the settings, the topics, and the timeline of records and faults from a seed
ground_truth        what really happened to every record, and the contract checked against it
dead_letter_oracle  whether each dead letter names the right record, for a true reason
inlet_rules         what a member may send to an inlet after the responses that it got
memory_window       how many bytes of records a member holds in memory
organisation_rate   whether all members together keep the organisation-wide rate
kafka               partitions, the consumer group, and the members' sources
aep                 what AEP responds, and what it really did
member              one process: an engine with a clock, completions, a sender and dead letters
world               the scheduler: which member takes the next turn, which event happens, and the end
campaign            runs many histories at once
mutants             deliberate bugs in the engine, each of which must be caught
mutant_hunt         puts each bug into the engine, and runs histories until one catches it
"""
