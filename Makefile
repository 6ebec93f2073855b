# `make demo` and `make test` work on a fresh machine with Python 3.11 and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CHROMIUM := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
# npm, where it is there with a Node.js that the AWS SDK for JavaScript runs on.
NPM := $(shell node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && command -v npm)
JAVASCRIPT := tests/emulator/js

.PHONY: help demo test lint types tests emulator pictures clean

help:  ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(VENV)/run.stamp: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

$(JAVASCRIPT)/node_modules/installed.stamp: $(JAVASCRIPT)/package.json
	cd $(JAVASCRIPT) && npm install --silent --no-progress
	@touch $@

demo: $(VENV)/run.stamp  ## Run a small suite against the local emulator and write a report
	$(BIN)/python run_tests.py scenarios/demo.yaml --yes

test: lint types tests  ## Lint, types and all tests

lint: $(VENV)/dev.stamp  ## Ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp  ## mypy --strict
	$(BIN)/mypy

# Marks of the tests that this machine cannot run, and how to leave them out.
LEFT_OUT := $(strip $(if $(CHROMIUM),,browser) $(if $(NPM),,node))
SPACE := $() $()
MARKS := $(if $(LEFT_OUT),not ($(subst $(SPACE), or ,$(LEFT_OUT))))

tests: $(VENV)/dev.stamp $(if $(NPM),$(JAVASCRIPT)/node_modules/installed.stamp)  ## Unit, property and end-to-end tests; those in a browser and in JavaScript where they can run
	@test -n "$(CHROMIUM)" || echo "No Chromium found: browser tests are left out (Debian: apt-get install chromium)"
	@test -n "$(NPM)" || echo "No Node.js 20 with npm found: JavaScript tests are left out (Debian 13: apt-get install nodejs npm)"
	$(BIN)/python -m pytest -n 4 --dist loadscope -m "$(MARKS)"

emulator: $(VENV)/run.stamp  ## Run the Bedrock emulator on its default port
	$(BIN)/python -m emulator

pictures: $(VENV)/dev.stamp  ## Take the pictures of docs/images from the last run
	$(BIN)/python -m tests.support.pictures

clean:  ## Remove what make built (results stay)
	rm -rf $(VENV) $(JAVASCRIPT)/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
