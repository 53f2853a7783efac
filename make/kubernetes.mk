# Image, chart and cluster. Each target is one step of tests/kubernetes/ci.sh, which says what it needs.
.PHONY: helm-test helm-generate image kubernetes kubernetes-ci kubernetes-tools kubernetes-scan

helm-test: ## The chart without a cluster: lint, schemas, units, alerts
	tests/kubernetes/ci.sh chart

helm-generate: ## What is generated of the chart: values.schema.json, dashboard, README
	$(PY) helm/generate.py
	PATH="$${KIT:-$${XDG_CACHE_HOME:-$$HOME/.cache}/aep-bridge-kubernetes}/bin:$$PATH" helm-docs --chart-search-root helm/aep-bridge --sort-values-order file

image: ## The image, built and run
	tests/kubernetes/ci.sh image

kubernetes: ## Install, deliver, upgrade, scale, roll back in a real cluster
	tests/kubernetes/ci.sh cluster

kubernetes-scan: ## Manifests and Dockerfile scanned
	tests/kubernetes/ci.sh scan

kubernetes-tools: ## What all of these need, built once
	tests/kubernetes/ci.sh tools

kubernetes-ci: ## All of it
	tests/kubernetes/ci.sh
