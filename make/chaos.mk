# The fault campaign on real processes: docs/reliability.md
MINUTES ?= 60
BACKLOG_MB ?= 4000

.PHONY: chaos chaos-long hostile memory-long
chaos: $(STAMP) ## Three minutes of faults against a real cluster and three replicas; SEED=… repeats a schedule
	@$(PY) -m tests.chaos $(if $(SEED),--seed $(SEED)) $(ARGS)

chaos-long: $(STAMP) ## The same for MINUTES=60 with longer faults; its figures go into docs/reliability.md
	@$(PY) -m tests.chaos $(if $(SEED),--seed $(SEED)) --minutes $(MINUTES) --write docs/reliability.md $(ARGS)

hostile: $(STAMP) ## Bad input and hostile neighbours: fuzz, TLS, proxies, canary secrets, memory under a stopped AEP
	@$(PY) -m pytest -q tests/hostile $(ARGS)

memory-long: $(STAMP) ## Memory under a stopped AEP with a backlog of BACKLOG_MB=4000, into docs/reliability.md; takes twice that on the disk for a while
	@mkdir -p .cache
	@BACKLOG_MB=$(BACKLOG_MB) STOPPED_S=60 MEMORY_OUT=.cache/memory.json $(PY) -m pytest -q tests/hostile/test_memory.py $(ARGS)
	@$(PY) -m tests.chaos.report docs/reliability.md .cache/memory.json
