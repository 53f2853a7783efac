# Image, chart and cluster. Each target is one step of tests/kubernetes/ci.sh, which says what the steps need.
.PHONY: helm-test helm-generate image kubernetes kubernetes-ci kubernetes-tools kubernetes-scan

helm-test: ## Test the chart without a cluster: lint, schemas, unit tests, alerts
	tests/kubernetes/ci.sh chart

helm-generate: ## Generate the chart's values.schema.json, dashboard and README
	$(PY) helm/generate.py
	PATH="$${KIT:-$${XDG_CACHE_HOME:-$$HOME/.cache}/aep-bridge-kubernetes}/bin:$$PATH" helm-docs --chart-search-root helm/aep-bridge --sort-values-order file

image: ## Build the image, and test it
	tests/kubernetes/ci.sh image

kubernetes: ## Install, deliver, upgrade, scale and roll back in a real cluster
	tests/kubernetes/ci.sh cluster

kubernetes-scan: ## Scan the manifests and the Dockerfile
	tests/kubernetes/ci.sh scan

kubernetes-tools: ## Build the tools that all of these need, once
	tests/kubernetes/ci.sh tools

kubernetes-ci: ## Run all steps: tools, chart, image, cluster, scan
	tests/kubernetes/ci.sh
