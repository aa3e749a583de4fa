PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: setup demo test check docs format slow clean

setup: .venv/.ready  ## the environment, in .venv

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade-strategy only-if-needed -c constraints.txt -e '.[dev]'
	touch $@

demo: setup  ## render three short videos, mine them, statistics and report in demo/
	$(BIN)/mimic demo --out demo

check: setup  ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check  ## the checks and the tests
	$(BIN)/pytest -m "not slow"

slow: setup  ## the long tests
	$(BIN)/pytest -m slow --timeout 1800

docs: setup  ## docs/config.md, from the config's own descriptions
	$(BIN)/python -m pipelines.cli.config_doc

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv demo build dist *.egg-info
