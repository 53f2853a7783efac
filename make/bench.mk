# What it costs, measured so that anyone can repeat it: docs/performance.md
.PHONY: bench bench-quick

bench: $(STAMP) ## What the bridge costs, into docs/performance.*; ROUNDS=5 EVENTS=500000 ONLY=throughput,latency,steady,scaling,startup,profile,quota
	@$(PY) -m bench $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(EVENTS),--events $(EVENTS)) $(if $(ONLY),--only $(ONLY)) $(ARGS)

bench-quick: $(STAMP) ## The same in three minutes, into .cache/bench: shows that the bench works, and measures nothing
	@$(PY) -m bench --quick $(if $(ONLY),--only $(ONLY)) $(ARGS)
