# make run: install and make a first run with its figures.  make test: the tests.  make check: lint and tests, what .ci/run runs.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test lint check clean

run: .venv/installed
	$(BIN)/wnexp train +norm=ewn
	$(BIN)/wnexp plot
	@echo "The figures are in outputs/lin_sep/norm=ewn/figures/"

test: .venv/tests-installed
	$(BIN)/python -m pytest

lint: .venv/tests-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

check: lint test

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

.venv/tests-installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ .venv/installed

clean:
	rm -rf .venv
