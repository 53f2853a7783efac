# The project's commands. Everything is installed into .venv, from the lock files; nothing else on the machine changes.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
RUN_STAMP := $(VENV)/.installed-to-run
STAMP := $(VENV)/.installed

COMPILE := uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11

.DEFAULT_GOAL := help
.PHONY: help demo test check format lock clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

$(RUN_STAMP): requirements.lock
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) …"
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(STAMP): $(RUN_STAMP) requirements-dev.lock pyproject.toml
	@echo "Installing the tools for tests …"
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(RUN_STAMP) ## Run the bridge on sample events: needs no Kafka, no account, no configuration
	@$(PY) -m bridge demo

test: $(STAMP) ## Run every test except the cluster's (make kubernetes-ci): units, contract, a real Kafka broker, real HTTP and TLS, simulation
	@$(PY) -m pytest -q --numprocesses 2 --dist loadfile $(wildcard tests/unit tests/operators tests/end_to_end tests/hostile tests/contract tests/integration tests/simulation tests/chaos) $(ARGS)

check: $(STAMP) ## Run ruff, mypy, import-linter and the unit tests
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-cache
	@$(PY) -m pytest -q tests/unit $(ARGS)

format: $(STAMP) ## Format the code, and fix what ruff can fix
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix .

lock: ## Resolve the dependencies again, with hashes
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	echo hatchling | $(COMPILE) -c requirements-dev.lock - -o requirements-build.lock

clean: ## Remove the environment and the caches
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis

-include make/*.mk
