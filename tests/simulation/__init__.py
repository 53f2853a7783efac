"""Deterministic simulation: the engine itself, unchanged, under a seeded world.

`docs/simulation.md` describes what is simulated and what is checked.

scenario            a seed → the settings, the records and the timeline of faults
truth               what really happened to every record, and the contract checked against it
dead_letter_oracle  whether each dead letter names the right record, for a true reason
conduct             what a member may do after the answers that it got: holds, halvings, back-off, lessons
window              what a member holds in memory, and the organisation's rate
kafka               partitions, the group, members' sources
aep                 what AEP answers, and what it really did
member              one process: an engine with a clock, completions, a sender and dead letters
world               the scheduler: whose turn it is, what happens when, and the end
campaign            many histories at once
mutants             deliberate bugs, each of which has to be caught
hunt                how they are put in, and caught
"""
