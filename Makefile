# SPDX-License-Identifier: Apache-2.0
#
# One virtual environment in .venv serves every target. Stamp files inside it say what is
# installed: they depend on pyproject.toml, and naming another PYTHON builds it anew.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

CREATED := $(VENV)/stamp-created-by-$(subst /,-,$(PYTHON))
INSTALLED := $(VENV)/stamp-installed
DEVELOP := $(VENV)/stamp-develop

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run test lint bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "PYTHON=... names the interpreter (now: $(PYTHON)); it must be Python 3.11 or newer."

setup: $(DEVELOP) ## set up .venv with everything that tests and lint need

run: $(INSTALLED) ## train the network of the paper on MNIST, and a stretch of it on the RTL
	$(BIN)/crossforge train --preset mnist --compare --out runs/mnist
	$(BIN)/crossforge cosim --preset mnist --examples 300

test: $(DEVELOP) ## pass all tests, the fast ones first
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist worksteal
	$(BIN)/python -m pytest -m slow -n 2 --dist worksteal

lint: $(DEVELOP) ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(INSTALLED) ## measure the speed of training, and of the co-simulation
	$(BIN)/python bench/trainer.py
	$(BIN)/python bench/cosimulation.py

clean: ## remove .venv, build output and caches; runs/ stays
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

$(CREATED):
	@command -v "$(PYTHON)" > /dev/null || { \
	  echo "Python 3.11 or newer must be installed, but there is no $(PYTHON): install it" \
	    "(Debian: apt install python3 python3-venv) or name another by PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python must be 3.11 or newer, not $$("$(PYTHON)" --version 2>&1) ($(PYTHON)):" \
	    "name another by PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2> /dev/null || { \
	  echo "Python's venv module must be installed for $(PYTHON)" \
	    "(Debian: apt install python3-venv)." >&2; exit 1; }
	"$(PYTHON)" -m venv --clear $(VENV)
	@touch $@

# numba keeps what it compiles: neither the first run nor the first tests wait for it.
define COMPILE_KERNELS
	@echo "Compiling the kernels (half a minute)"
	@$(BIN)/crossforge train --epochs 1 --examples 1 --json > /dev/null
endef

$(INSTALLED): pyproject.toml $(CREATED)
	@echo "Installing Crossforge into $(VENV) (the first time takes a minute or two)"
	$(PIP) install --quiet -e .
	$(COMPILE_KERNELS)
	@touch $@

$(DEVELOP): pyproject.toml $(CREATED)
	@echo "Installing Crossforge and its development tools into $(VENV)" \
	  "(the first time takes a minute or two)"
	$(PIP) install --quiet -e '.[dev]'
	$(COMPILE_KERNELS)
	@command -v iverilog > /dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null && \
	  { apt-get install --yes --quiet iverilog > /dev/null 2>&1 || { apt-get update --quiet \
	  && apt-get install --yes --quiet iverilog; } > /dev/null 2>&1; }; } \
	  || echo "Icarus Verilog is not installed, its tests will be skipped: apt install iverilog"
	@touch $(INSTALLED) $@
