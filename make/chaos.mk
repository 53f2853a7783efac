# The fault campaign on real processes: docs/reliability.md
MINUTES ?= 60

.PHONY: chaos chaos-long hostile
chaos: $(STAMP) ## Three minutes of faults against a real cluster and three replicas; SEED=… repeats a schedule
	@$(PY) -m tests.chaos $(if $(SEED),--seed $(SEED)) $(ARGS)

chaos-long: $(STAMP) ## The same for MINUTES=60 with longer faults; its figures go into docs/reliability.md
	@$(PY) -m tests.chaos $(if $(SEED),--seed $(SEED)) --minutes $(MINUTES) --write docs/reliability.md $(ARGS)

hostile: $(STAMP) ## Bad input and hostile neighbours: fuzz, TLS, proxies, canary secrets, memory under a stopped AEP
	@$(PY) -m pytest -q tests/hostile $(ARGS)
