# make run: the pipeline on the embedded default. make test: everything CI checks. Both install what they need first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: run test check fix flow install install-test browser clean

run: install
	dvc repro
	neurogloss table

test: install-test
	$(MAKE) --no-print-directory check

check:
	ruff format --check .
	ruff check .
	mypy
	lint-imports --no-cache
	pytest -m "not slow and not gpu"

fix:
	ruff check --fix .
	ruff format .

install: $(VENV)/.installed
install-test: $(VENV)/.installed-test

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $(VENV)/.installed $@

# The viewer's tests drive a browser; where none can be installed they are skipped.
browser:
	sh tests/viewer/install_browser.sh

flow: install
	python -m stages.documents

clean:
	rm -rf $(VENV)
