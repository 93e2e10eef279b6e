# Needs Python 3.11+ and make.  Everything else lands in .venv, locked by hashes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SECONDS ?= 30
# Files of tests that run side by side: one more than processors, because they also wait; at most eight.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(8, 1 + (os.cpu_count() or 1)))')

.PHONY: help demo test pii lint types bench traffic money docs screenshots wheel lock clean

help:
	@echo "make demo    run the simulated Claude API, a gateway and official SDK clients on a real trace ($(SECONDS) s)"
	@echo "make test    lint, types and all tests; WORKERS=4 runs four files of tests at a time"
	@echo "make bench   throughput, latency and memory next to nginx and other gateways"
	@echo "make traffic measure admission in virtual time beside its rivals, and write the tables of docs/explanation/traffic.md"
	@echo "make money   measure what is saved and whether the books are right, and write the tables of docs/explanation/money.md"
	@echo "make docs    write the reference pages from the code, and the README's output from the demo"
	@echo "make screenshots  write the pictures of the dashboard in docs/images from a simulator run; needs a Chromium"
	@echo "make wheel   build the wheel and try it in an empty environment"

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Headgate needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ...")'
	@echo "setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(VENV)/.installed
	@$(BIN)/headgate demo --seconds $(SECONDS)

test: lint types $(VENV)/.installed
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# The extra with Presidio and spaCy (400 MB), for the tests that use it.
pii: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/pii.txt

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

bench: $(VENV)/.installed
	$(BIN)/python bench/run.py

traffic: $(VENV)/.installed
	$(BIN)/python bench/traffic.py --write

money: $(VENV)/.installed
	$(BIN)/python bench/money.py --write

docs: $(VENV)/.installed
	$(BIN)/python tools/write_reference.py
	$(BIN)/python tools/write_demo_output.py

screenshots: $(VENV)/.installed
	$(BIN)/python tools/screenshots.py

wheel: $(VENV)/.installed
	$(BIN)/python tools/try_wheel.py

# For maintainers: needs uv (pip install uv).  The files hold no index address.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-header pyproject.toml -o requirements/runtime.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-header pyproject.toml --group dev --constraint requirements/runtime.txt -o requirements/dev.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-header pyproject.toml --extra pii --constraint requirements/dev.txt -o requirements/pii.txt

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache
