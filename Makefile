# The doors of this project. `make` alone lists them; each makes its own .venv when it is missing.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BIN := $(VENV)/bin

# One stamp per set of extras. Whoever has the full set never installs the small one over it.
FULL := $(VENV)/.installed-full
SMALL := $(VENV)/.installed-small
RUNNABLE := $(if $(wildcard $(FULL)),$(FULL),$(SMALL))
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help run api test check format bench clean
.DELETE_ON_ERROR:
.NOTPARALLEL: # one pip at a time in one .venv

help: ## List these doors
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo '  ARGS="..." is handed on, e.g.  make run ARGS=~/Pictures   make test ARGS="-k worker -x"'

run: $(RUNNABLE) ## Run the main job: real work on the photographs and prose in examples/data
	@$(BIN)/python examples/main.py $(ARGS)

api: $(FULL) ## Serve the FastAPI example on http://127.0.0.1:8000 (Ctrl-C ends it)
	@$(BIN)/python examples/fastapi_worker_api.py $(ARGS)

test: $(FULL) ## Run the tests
	@$(BIN)/python -m pytest $(ARGS)

check: $(FULL) ## Lint, formatting and types: ruff check, ruff format --check, mypy --strict
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy --strict

format: $(FULL) ## Put the code into the one format and fix what can be fixed
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

bench: $(FULL) ## Measure enqueue, drain and pick-up latency on this machine
	@$(BIN)/python benchmarks/throughput.py $(ARGS)

clean: ## Remove .venv, caches and build output (the tasks' data stays)
	@rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The interpreter, made once. A half-made one (Ctrl-C) is made again: its stamp is missing.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  found=$$($(PYTHON) --version 2>/dev/null || echo 'not there'); \
	  echo "This project needs Python 3.11 or newer; '$(PYTHON)' is $$found." >&2; \
	  echo "Name another one:  make PYTHON=python3.12 $(or $(firstword $(MAKECMDGOALS)),run)" >&2; exit 1; }
	@echo "Making $(VENV) (once) ..."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "'$(PYTHON) -m venv' failed. On Debian and Ubuntu:  apt-get install python3-venv" >&2; exit 1; }

$(SMALL): pyproject.toml | $(BIN)/python
	@echo "Installing what the examples need into $(VENV) (once per change of pyproject.toml) ..."
	@$(PIP_INSTALL) --editable '.[embedded,examples]'
	@touch $@

$(FULL): pyproject.toml | $(BIN)/python
	@echo "Installing what the tests need into $(VENV) (once per change of pyproject.toml) ..."
	@$(PIP_INSTALL) --editable '.[embedded,fastapi,examples,dev]'
	@touch $@
