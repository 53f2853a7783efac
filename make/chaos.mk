# Faults against real processes: docs/reliability.md
MINUTES ?= 60
BACKLOG_MB ?= 4000

.PHONY: chaos chaos-long hostile memory-long
chaos: $(STAMP) ## Cause faults for three minutes in a real Kafka cluster and three replicas; SEED=… repeats a schedule
	@$(PY) -m tests.chaos $(if $(SEED),--seed $(SEED)) $(ARGS)

chaos-long: $(STAMP) ## The same for MINUTES=60 with longer faults; writes the figures of docs/reliability.md
	@$(PY) -m tests.chaos $(if $(SEED),--seed $(SEED)) --minutes $(MINUTES) --write docs/reliability.md $(ARGS)

hostile: $(STAMP) ## Test bad input and hostile upstreams: fuzzing, TLS, proxies, secrets that leak, memory while AEP is down
	@$(PY) -m pytest -q tests/hostile $(ARGS)

memory-long: $(STAMP) ## Measure memory while AEP is down, with a backlog of BACKLOG_MB=4000, into docs/reliability.md; needs twice that on the disk
	@mkdir -p .cache
	@BACKLOG_MB=$(BACKLOG_MB) STOPPED_S=60 MEMORY_OUT=.cache/memory.json $(PY) -m pytest -q tests/hostile/test_memory.py $(ARGS)
	@$(PY) -m tests.chaos.report docs/reliability.md .cache/memory.json
