# The deterministic simulation: docs/simulation.md
PY ?= .venv/bin/python
HISTORIES ?= 10000

.PHONY: simulate simulate-mutants
simulate: $(STAMP) ## The engine in a simulated world: 10,000 seeded histories; SEED=… replays one, step by step
	$(PY) -m tests.simulation $(if $(SEED),--seed $(SEED),--histories $(HISTORIES))

simulate-mutants: $(STAMP) ## Deliberate bugs in the engine: each must be caught; writes the table of docs/simulation.md
	$(PY) -m tests.simulation --mutants --write docs/simulation.md
