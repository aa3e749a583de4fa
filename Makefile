PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: setup setup-all demo test check docs format slow clean

setup: .venv/.ready  ## the environment, in .venv

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade-strategy only-if-needed -c constraints.txt -e '.[dev]'
	touch $@

setup-all: .venv/.ready-all  ## the same with torch and all else that the checks and tests need (6 GB)

.venv/.ready-all: .venv/.ready
	$(BIN)/python -m pip install --quiet --upgrade-strategy only-if-needed -c constraints.txt -e '.[dev,train,depth,poses]'
	touch $@

demo: setup  ## render three short videos, mine them, statistics and report in demo/
	$(BIN)/mimic demo --out demo

check: setup-all  ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check  ## the checks and the tests
	$(BIN)/pytest -m "not slow"

slow: setup-all  ## the long tests
	$(BIN)/pytest -m slow --timeout 1800

docs: setup-all  ## docs/config.md and docs/train-config.md, from the configs' own descriptions
	$(BIN)/python -m pipelines.cli.config_doc
	$(BIN)/python -m train.config_doc

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv demo build dist *.egg-info
