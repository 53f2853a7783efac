# The documentation: generated pages, then the site
.PHONY: docs docs-generate operators

docs: $(STAMP) ## The documentation as a site in .cache/site; a broken link is an error
	@$(VENV)/bin/mkdocs build --quiet --strict

docs-generate: $(STAMP) ## Writes the generated pages of docs/reference anew, and what docs/performance.md shows of its JSON file
	@$(PY) -m make.reference docs/reference
	@$(PY) -m make.configuration_page > docs/reference/configuration.md
	@$(PY) -m bench.report docs

operators: $(STAMP) ## What the engineer on call uses: status page in Chromium, commands on a real broker, tutorial, docs
	@$(PY) -m pytest -q tests/operators $(ARGS)
