# The documentation: its generated pages, and the site
.PHONY: docs docs-generate operators

docs: $(STAMP) ## Build the documentation as a site in .cache/site; a broken link is an error
	@$(VENV)/bin/mkdocs build --quiet --strict

docs-generate: $(STAMP) ## Generate the pages of docs/reference, and the tables of docs/performance.md from its JSON file
	@$(PY) -m make.reference docs/reference
	@$(PY) -m make.configuration_page > docs/reference/configuration.md
	@$(PY) -m bench.report docs

operators: $(STAMP) ## Test what operators use: status page in Chromium, commands on a real broker, tutorial, docs
	@$(PY) -m pytest -q tests/operators $(ARGS)
