# Everything runs in folders of the project: uv in .tools, packages in .venv.
# A machine needs Python 3.11 or newer and make.
PYTHON ?= python3
UV_VERSION := 0.13.8
UV := .tools/bin/uv
RUN := $(UV) run --frozen
SEEDS ?= 200
# More processes than cores are faster, as many tests wait; but some of them watch sockets with short
# limits of time, and a machine that is late is to them a connection that is lost.
WORKERS ?= auto
PYTEST ?= -n $(WORKERS) --dist worksteal

# Tests and commands start many processes: modules are compiled once, not by each of them.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX := $(CURDIR)/.tools/pycache

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-integration test-simulation parity prove bench lint lint-style lint-format lint-imports lint-pins lint-pages lint-lock check format typecheck coverage lock clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort | expand -t 20

$(UV):
	$(PYTHON) -m venv .tools
	.tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# The lock is made from the exact versions in pyproject.toml, so it is the same on every index.
.venv/.synced: $(UV) pyproject.toml $(wildcard packages/*/pyproject.toml shared/*/pyproject.toml apps/*/pyproject.toml bbu_reference/pyproject.toml tests/*/pyproject.toml)
	$(UV) lock --quiet
	$(UV) sync --quiet --frozen --all-packages
	@touch $@

setup: .venv/.synced ## install everything that the commands need, into .tools and .venv

DEMO_SECONDS ?= 90

demo: .venv/.synced ## the bot on an exchange that it brings along: DEMO_SECONDS=90
	$(RUN) python -m gridbot.main --config conf/demo.yaml --live --duration $(DEMO_SECONDS)

# Of lines and branches, over the whole workspace; gridcore has a stricter gate of its own.
COVERAGE := 90

test: .venv/.synced ## all tests of the workspace but the slow ones, with coverage
	$(RUN) pytest $(PYTEST) -m "not slow" --cov --cov-report=term:skip-covered --cov-fail-under=$(COVERAGE)
	$(RUN) coverage report --include='packages/gridcore/src/*' --fail-under=95 --format=total

test-slow: .venv/.synced ## the tests that take long: minutes of streams, kills, full disks
	$(RUN) pytest $(PYTEST) -m "slow and not simulation"

test-integration: .venv/.synced ## tests over real files, servers and sockets
	$(RUN) pytest $(PYTEST) -m integration

test-simulation: .venv/.synced ## seeded fault simulation: SEEDS=200
	SIMULATION_SEEDS=$(SEEDS) $(RUN) pytest $(PYTEST) -m simulation

parity: .venv/.synced ## compare gridcore with the oracle of the older bot and print a report
	$(RUN) python -m testkit.parity

FILLS ?= 500
DATA ?=

prove: .venv/.synced ## the bot trades, a backtest of the recording does the same: FILLS=500 DATA=...
	$(RUN) python -m gridbot.prove --fills $(FILLS) $(if $(DATA),--data $(DATA))
	$(RUN) python -m gridbot.prove --fills $(FILLS) --racing $(if $(DATA),--data $(DATA))

bench: .venv/.synced ## one table of figures
	$(RUN) python benchmarks/run.py

lint: .venv/.synced ## style, types, import contracts, pins: all of them, then the verdict
	@$(MAKE) --keep-going --no-print-directory lint-style lint-format typecheck lint-imports lint-pins lint-pages lint-lock

lint-style: .venv/.synced
	$(RUN) ruff check .

lint-format: .venv/.synced
	$(RUN) ruff format --check .

typecheck: .venv/.synced ## mypy, strict
	$(RUN) mypy packages/*/src shared/db/src apps/*/src bbu_reference/src tests/testkit/src

lint-imports: .venv/.synced
	$(RUN) lint-imports

lint-pins: .venv/.synced
	$(RUN) python tools/pins.py check

lint-pages: .venv/.synced
	$(RUN) python tools/config_reference.py check

lint-lock: .venv/.synced
	$(UV) lock --check --quiet

PART ?= gridcore
FOLDER = $(firstword $(wildcard packages/$(PART) apps/$(PART)) $(if $(filter grid_db,$(PART)),shared/db))

check: .venv/.synced ## lint and the quick tests of one package: PART=gridbot
	$(if $(FOLDER),,$(error there is no package $(PART)))
	$(RUN) ruff check $(FOLDER)
	$(RUN) ruff format --check $(FOLDER)
	$(RUN) mypy $(FOLDER)/src
	$(RUN) lint-imports
	$(RUN) pytest $(PYTEST) -m "not slow and not integration and not simulation" --no-cov $(FOLDER)

format: .venv/.synced ## rewrite the code in the house format
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

coverage: .venv/.synced ## test coverage as a folder of pages in htmlcov/
	$(RUN) pytest $(PYTEST) --cov --cov-report=html --cov-report=term:skip-covered

lock: $(UV) ## newest versions that fit, written back as exact pins
	$(PYTHON) tools/pins.py clear
	$(UV) lock --upgrade
	$(PYTHON) tools/pins.py write
	$(UV) lock
	$(UV) sync --frozen --all-packages

clean: ## remove what the commands made
	rm -rf .venv .tools uv.lock .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov var
