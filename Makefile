# The doors of this project. `make` alone lists them; each makes its own .venv when it is missing.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
# So many tests at once. They wait more than they compute: four keep two cores busy. 0: all in one process.
JOBS ?= 4
SOAK ?= 600
SEEDS ?= 10000
SEED ?= $(shell date +%s)
BIN := $(VENV)/bin

# One stamp per set of extras. Whoever has the full set never installs the small one over it.
FULL := $(VENV)/.installed-full
SMALL := $(VENV)/.installed-small
RUNNABLE := $(if $(wildcard $(FULL)),$(FULL),$(SMALL))
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check

# The other containers get an environment of their own, and so does each other task queue.
BENCH := .venv-bench
CONTAINERS := $(BENCH)/.installed
# Which of them `make bench` measures; none named: all.
PEERS ?=

# In the order in which they are collected, for the longest come first.
AT_ONCE = $(if $(findstring no:xdist,$(ARGS)),,--numprocesses=$(JOBS) --dist=loadgroup --no-loadscope-reorder)

.DEFAULT_GOAL := help
.PHONY: help run api test test-all check format faults mutants soak
.PHONY: bench bench-own bench-ceiling bench-queue bench-schedules bench-container profile clean
.DELETE_ON_ERROR:
.NOTPARALLEL: # one pip at a time in one .venv

help: ## List these doors
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo '  ARGS="..." is handed on, e.g.  make run ARGS=~/Pictures   make test ARGS="-k worker -x"'

run: $(RUNNABLE) ## Run the main job: real work on the photographs and prose in examples/data
	@$(BIN)/python examples/main.py $(ARGS)

api: $(RUNNABLE) ## Serve the FastAPI example on http://127.0.0.1:8000 (Ctrl-C ends it)
	@$(BIN)/python examples/fastapi_worker_api.py $(ARGS)

test: $(FULL) ## Run the tests
	@$(BIN)/python -m pytest $(AT_ONCE) --durations=15 $(ARGS)

test-all: ## Run the unit and container tests on every Python from 3.11 to 3.13 found here
	@./tests/on_every_python.sh $(ARGS)

check: $(FULL) ## Lint, formatting and types: ruff check, ruff format --check, mypy --strict
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy --strict

format: $(FULL) ## Put the code into the one format and fix what can be fixed
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

faults: $(FULL) ## Do all harm there is at full size, and write docs/explanation/fault-results.md
	@$(BIN)/python -m tests.faults --full --report docs/explanation/fault-results.md $(ARGS)

mutants: $(FULL) ## Take each safeguard out of a copy, and see that the tests notice
	@$(BIN)/python -m tests.faults.mutants $(ARGS)

soak: $(FULL) ## Play SEEDS (10,000) simulations, thirty years of schedules, a million tasks, SOAK (600) s of harm
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --first $(SEED)
	@$(BIN)/python -m tests.clocks --seed $(SEED)
	@$(BIN)/python -m tests.endurance
	@$(BIN)/python -m tests.faults soak --full --soak-seconds $(SOAK) --seed $(SEED) $(ARGS)

bench: $(FULL) ## Measure this beside other task queues (all, or PEERS="huey dramatiq"), in environments of their own
	@$(BIN)/python -m benchmarks.peers $(PEERS) $(ARGS)

bench-own: $(FULL) ## Measure enqueue, drain and pick-up latency of this alone, in a minute
	@$(BIN)/python benchmarks/throughput.py $(ARGS)
	@$(BIN)/python -m benchmarks.cli_start

bench-ceiling: $(FULL) ## Measure what this machine allows: bare loops, and how soon a sleeping process wakes
	@$(BIN)/python -m benchmarks.peers --ceiling

bench-queue: $(FULL) ## Measure what a task costs the server: memory, and time with a million waiting
	@$(BIN)/python -m benchmarks.memory
	@$(BIN)/python -m benchmarks.depth

profile: $(FULL) ## Show where the time of a task goes, in client, worker and server, and draw it for the docs
	@$(BIN)/python -m benchmarks.profiling $(ARGS)

bench-schedules: $(FULL) ## Kill schedulers for two minutes: missing and double instants, lateness, idle cost
	@$(BIN)/python -m benchmarks.schedules $(ARGS)

bench-container: $(CONTAINERS) ## Compare the container with five others: claims, calls, starts, imports
	@$(BENCH)/bin/python -m benchmarks.container.claims
	@$(BENCH)/bin/python -m benchmarks.container.calls
	@$(BENCH)/bin/python -m benchmarks.container.imports
	@$(BENCH)/bin/python -m benchmarks.container.starts $(ARGS)

clean: ## Remove .venv, caches and build output (the tasks' data stays)
	@rm -rf $(VENV) .venv-* build dist .mypy_cache .pytest_cache .ruff_cache
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

$(CONTAINERS): benchmarks/container/requirements.txt
	@echo "Installing the containers to compare with into $(BENCH) (once per change of $<) ..."
	@$(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install -qq --disable-pip-version-check -r $<
	@touch $@
