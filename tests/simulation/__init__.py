"""Deterministic simulation: the engine itself, unchanged, under a seeded world.

`docs/simulation.md` describes what is simulated and what is checked.

scenario            draws the settings, the topics, and the timeline of records and faults from a seed
record_generator    draws a record of a topic, and what must become of it
ground_truth        what really happened to every record, and the contract checked against it
dead_letter_oracle  whether each dead letter names the right record, for a true reason
inlet_rules         what a member may send to an inlet after the responses that it got
memory_window       how many bytes of records a member holds in memory
organisation_rate   whether all members together keep the organisation-wide rate
kafka               partitions, the consumer group, and fenced commits
simulated_source    the source of one member: reads, stored offsets, commits, revokes
aep                 what AEP responds, and what it really did
multi_status_body   the bodies of multi-status responses, in every shape that was seen
member              one process: an engine with a clock, completions, a sender and dead letters
member_checks       what must hold in a process before it sends, while it reads, and after each step
member_observer     what the engine reports of its own work, compared with what happened
world               the scheduler: which member takes the next turn, and which event happens
final_phase         the end of a history: everything is settled and committed, or skipped by the operator
campaign            runs many histories at once
mutants             deliberate bugs in the engine, each of which must be caught
mutant_hunt         puts each bug into the engine, and runs histories until one catches it
"""
