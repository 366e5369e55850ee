# Everything here works in .venv, which the first target that needs it makes. `make help` lists the targets.
.DEFAULT_GOAL := help
.PHONY: setup demo test cluster cluster-down image e2e lint fmt bench crds reference chart lock clean help
SHELL := bash
BIN := .venv/bin
READY := .venv/.ready
LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --custom-compile-command "make lock" --quiet
# The image holds a part of requirements.txt, in the same versions.
FOR_IMAGE := --no-annotate --constraints requirements.txt --output-file tools/image

setup: $(READY) ## Make .venv with everything that is needed (the first time: about 150 MB)

$(READY): requirements.txt pyproject.toml tools/setup.sh
	@tools/setup.sh >&2  # stdout is for what a target tells, such as a path
	@touch $@

demo: $(READY) ## Start the edge on examples/ and take the tour of demo/tour.yaml
	@$(BIN)/edgerun local examples --tour demo/tour.yaml

test: $(READY) ## Run all tests that need no control plane; make test ARGS="-k words" runs some
	@$(BIN)/python -m tools.test unit --pytest $(ARGS)

cluster: $(READY) ## Start a Kubernetes of one node (the first time it builds for 15 minutes); KUBECONFIG and kind come first
	@tools/cluster/up

cluster-down: $(READY) ## Stop it and remove all of it
	@tools/cluster/down

image: $(READY) ## Build the container image, with Docker or as root without; prints the path of its archive
	@tools/image/build

e2e: $(READY) ## Run the tests that need a real API server or a whole cluster, after building both and the image
	@$(BIN)/python -m tools.test e2e --pytest $(ARGS)

lint: $(READY) ## Check style, types, imports, spelling and what must not be committed
	@tools/lint.sh

fmt: $(READY) ## Format and mend what can be mended by itself
	@$(BIN)/ruff check --fix --quiet operator tests bench tools examples || true
	@$(BIN)/ruff format operator tests bench tools examples

bench: $(READY) ## Measure: requests/s, what guards cost, keys, cold starts, rebuilds, a cluster's operator (16 minutes); ARGS="guard keys" for some
	@tools/wrk.sh
	@$(BIN)/python bench/run.py $(ARGS)

crds: $(READY) ## Write anew what crds/originrevisions.yaml has of crds/originservices.yaml
	@$(BIN)/python -m tools.crds

reference: crds ## Write docs/reference anew from crds/
	@$(BIN)/python tools/reference.py

chart: crds ## Write anew what charts/edgerun has of crds/ and of its values.yaml
	@$(BIN)/python -m tools.chart

lock: $(READY) ## Pin all dependencies of pyproject.toml anew, with hashes
	@$(BIN)/pip install --quiet uv
	@$(LOCK) pyproject.toml --extra cluster --group dev --upgrade --output-file requirements.txt
	@$(LOCK) pyproject.toml --extra cluster $(FOR_IMAGE)/requirements.txt
	@echo hatchling | $(LOCK) - $(FOR_IMAGE)/requirements-build.txt
	@tools/leaks.sh

clean: ## Remove .venv, caches and results
	@rm -rf .venv dist build bench/results .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## Show this list
	@sed -nE 's/^([a-z0-9-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
