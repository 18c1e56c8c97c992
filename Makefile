# `make demo`: from nothing to cited answers. `make test`: everything. `make lint`: style, types, structure.
VENV ?= .venv
PYTHON ?= python3
# The version that is tested. `make TORCH=torch demo` takes the newest; without a GPU any CPU build will do.
TORCH ?= torch==2.13.0
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
WORKERS ?= 2

.PHONY: demo test test-fast lint bench format clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade "pip>=25.1"

$(VENV)/installed: $(BIN)/python pyproject.toml
	@echo "Installing. llama-cpp-python is compiled once, which takes some minutes."
	$(PIP) install --quiet "$(TORCH)"
	$(PIP) install --quiet --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(PIP) install --quiet --group test
	@touch $@

$(VENV)/installed-lint: $(VENV)/installed-test
	$(PIP) install --quiet --group lint
	@touch $@

demo: $(VENV)/installed
	PATH="$(abspath $(BIN)):$$PATH" bash scripts/demo.sh

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

test-fast: $(VENV)/installed-test
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow" $(ARGS)

lint: $(VENV)/installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

format: $(VENV)/installed-lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/installed-test
	$(PIP) install --quiet --group bench
	$(BIN)/python -m benchmarks.run $(ARGS)

clean:
	rm -rf $(VENV) demo .pytest_cache .ruff_cache
