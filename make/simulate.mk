# The deterministic simulation of the engine: docs/simulation.md
PY ?= .venv/bin/python
HISTORIES ?= 10000

.PHONY: simulate simulate-mutants
simulate: $(STAMP) ## Run the engine in 10,000 simulated histories (HISTORIES=…); SEED=… replays one step by step
	$(PY) -m tests.simulation $(if $(SEED),--seed $(SEED),--histories $(HISTORIES))

simulate-mutants: $(STAMP) ## Put bugs into the engine and check that the simulation finds each; writes the table of docs/simulation.md
	$(PY) -m tests.simulation --mutants --write docs/simulation.md
