# Everything is done by syringe_project/launcher, which needs nothing but Python 3.11 or newer.
PYTHON ?= python3
CURRICULUM ?= curriculum/sample
DATA ?= .data
ARGS ?=
LAUNCHER = exec $(PYTHON) syringe_project/launcher

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help up test demo environment lint typecheck lock bench bench-kubernetes chaos load

help: ## List what make can do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## Start everything here until Ctrl-C (CURRICULUM=path, SYRINGE_PORT=8000)
	@$(LAUNCHER) up --curriculum "$(CURRICULUM)" --data "$(DATA)"

test: ## Run the whole suite beside servers of its own (ARGS="-k word")
	@$(LAUNCHER) test -- $(ARGS)

demo: ## Act as a learner, against the running `make up` or one of its own
	@$(LAUNCHER) demo --curriculum "$(CURRICULUM)" --data "$(DATA)"

environment: ## Make the Python environment of developers in .venv
	@$(LAUNCHER) environment

lint: ## Check style, format and import contracts
	@$(LAUNCHER) lint

typecheck: ## Check types with mypy
	@$(LAUNCHER) typecheck

lock: ## Resolve pyproject.toml into the hashed requirement files
	@$(LAUNCHER) lock

bench: ## Measure, print a table and write .bench/results.json
	@$(LAUNCHER) bench -- $(ARGS)

bench-kubernetes: ## Measure what Syringe adds to a cluster (a real one: docs/kubernetes/k3s.md)
	@$(LAUNCHER) bench -- --only kubernetes \
		--output .bench/kubernetes.json $(if $(CLUSTER),--kubeconfig "$(CLUSTER)") \
		$(if $(BUNDLE_URL),--bundle-url "$(BUNDLE_URL)") $(ARGS)

chaos: export CHAOS_AWAY_SECONDS ?= 60
chaos: ## Kill and restart real processes, the long form
	@$(LAUNCHER) test -- -n 0 -m chaos tests/chaos $(ARGS)

load: ## Thousands of livelessons, the long form
	@$(LAUNCHER) test -- -n 0 -m load tests/load $(ARGS)
