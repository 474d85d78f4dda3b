# `make demo` and `make test` need Python 3.11 or newer and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Hundreds of processes of the tests compile the project anew where its bytecode may not be kept.
export PYTHONDONTWRITEBYTECODE :=
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo up test cluster soak check bench docs migration clean

demo: .venv/demo.installed
	$(BIN)/marketing-pipelines demo

up: .venv/demo.installed
	$(BIN)/marketing-pipelines up

test: .venv/test.installed
	$(BIN)/python -m pytest -n 3 --dist worksteal

# Statements on Spark with two workers, which needs Java 17 or newer.
cluster: .venv/test.installed
	$(PIP) --editable '.[demo,test,spark]'
	$(BIN)/python -m pytest -m cluster

# The heavy faults, which `test` does in short, in full: some hours.
soak: .venv/test.installed
	SOAK=1 $(BIN)/python -m pytest -m soak

check: .venv/test.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .

bench: .venv/test.installed
	$(BIN)/python -m marketing_pipelines_tests.benchmarks

docs: .venv/test.installed
	$(BIN)/python -m marketing_pipelines.documentation

# make migration NAME=add_scores: the next one, from what tables.py has and the database lacks.
migration: .venv/test.installed
	$(BIN)/python -m marketing_pipelines.migrations $(NAME)

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/demo.installed: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[demo]'
	touch $@

.venv/test.installed: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[demo,test]'
	touch $@ .venv/demo.installed

clean:
	$(BIN)/marketing-pipelines db stop || true
	test ! -s .data/postgres.location || rm -rf "$$(head -n 1 .data/postgres.location)"
	rm -rf .venv .data .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
