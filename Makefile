# `make demo` and `make test` work on a fresh machine with Python 3.11 and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CHROMIUM := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
NODE := $(shell command -v node)
PACKAGES := analysis bedrock emulator loadgen orchestrator reports scenarios
SOURCES := $(PACKAGES) locustfiles tests run_tests.py

.PHONY: help demo test lint types tests emulator clean

help:  ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(VENV)/run.stamp: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

demo: $(VENV)/run.stamp  ## Run a small suite against the local emulator and write a report
	$(BIN)/python run_tests.py scenarios/demo.yaml --yes

test: lint types tests  ## Lint, types and all tests

lint: $(VENV)/dev.stamp  ## Ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp  ## mypy --strict
	$(BIN)/mypy

tests: $(VENV)/dev.stamp  ## Unit, property, end-to-end and (where there is Chromium) browser tests
	@test -n "$(CHROMIUM)" || echo "No Chromium found: browser tests are left out (Debian: apt-get install chromium)"
	$(BIN)/python -m pytest -n 2 --dist loadscope -m "$(if $(CHROMIUM),,not browser)"

emulator: $(VENV)/run.stamp  ## Run the Bedrock emulator on its default port
	$(BIN)/python -m emulator

clean:  ## Remove what make built (results stay)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
