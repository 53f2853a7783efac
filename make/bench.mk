# What the bridge costs: docs/performance.md
.PHONY: bench bench-quick

bench: $(STAMP) ## Measure what the bridge costs, into docs/performance.*; ROUNDS=5 EVENTS=500000 ONLY=throughput,latency,steady,scaling,startup,profile,quota
	@$(PY) -m bench $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(EVENTS),--events $(EVENTS)) $(if $(ONLY),--only $(ONLY)) $(ARGS)

bench-quick: $(STAMP) ## Show in three minutes that the benchmark works, into .cache/bench; its figures mean nothing
	@$(PY) -m bench --quick $(if $(ONLY),--only $(ONLY)) $(ARGS)
