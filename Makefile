# Every chore in one place; `make` alone lists them. Needs make and Python 3.11 or newer, nothing else: no compiler, no root.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help venv dev oracle test bench demo format clean

help:  ## list what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

venv: $(VENV)/.runtime  ## install what the scripts need, into .venv
dev: $(VENV)/.dev  ## install what the tests need, too
oracle: $(VENV)/.oracle  ## install the reference transform that some tests compare with, if it can be built

test: $(VENV)/.dev $(VENV)/.oracle  ## check the format, the style and the behaviour
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8

bench: $(VENV)/.oracle  ## time the transform and the training step against peers and limits
	$(BIN)/python -m benchmarks.nsgt
	$(BIN)/python -m benchmarks.training

demo: $(VENV)/.runtime  ## train a small run, play a score with it, transcribe a recording with it, in under 10 minutes
	$(BIN)/python -m benchmarks.demo

format: $(VENV)/.dev  ## mend format and style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove what make and the tools made: .venv and caches; never a run
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps of what is installed; one older than the list of its packages is renewed.

$(VENV)/.runtime: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime pyproject.toml
	$(PIP) $$($(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["dev"])')
	@touch $@

$(VENV)/.oracle: $(VENV)/.dev
	@$(PIP) setuptools wheel && $(PIP) --no-build-isolation nsgt==0.19 \
		|| echo "notice: nsgt 0.19 cannot be built here; the tests that need it are skipped, stored numbers stand in"
	@touch $@
