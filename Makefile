# Every target makes what it needs, the virtual environment first. Python 3.11 or newer and make are enough.

# RAVDESS: a folder or zip of RAVDESS speech; empty downloads it into the user's cache. OTHERS: folders of other corpora,
# which the networks we ship learn from as well: RAVDESS song, nEMO, CREMA-D ... SEEDS, and ENCODED, the networks on
# Whisper's encoder: for `evaluate`; crnn learns from whisper-gru of seed 0, so leave these in. JOBS: trainings at a
# time. VARIATION: for `test-variations`; all if none is given. WORKERS: processes that run tests. MODEL: of the page.
# OPTIONS: of pytest, for `test` and `test-all`. Where a file can't be exported, `evaluate` goes on (-), and says at its
# end which rows are missing for it.
PYTHON ?= python3
RAVDESS ?=
OTHERS ?=
SEEDS ?= 0 1 2
ENCODED ?= whisper-gru whisper-notebook-gru whisper-notebook-lstm
RUNS ?= $(or $(wildcard runs/*-speaker-fold0-seed0 runs/crnn-speaker-fold0-seed0-taught),runs/*)
PRECISION ?= all
JOBS ?= 2
VARIATION ?=
MODEL ?= accurate
WORKERS ?= 2
OPTIONS ?=

BIN := .venv/bin
DATA := $(if $(RAVDESS),--data "$(RAVDESS)")
ALL := $(if $(RAVDESS),$(foreach path,$(RAVDESS) $(OTHERS),--data "$(path)"))
ifneq ($(OTHERS),)
ifeq ($(RAVDESS),)
$(error OTHERS needs RAVDESS, the folder or zip of RAVDESS speech; give it as well)
endif
endif
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PYTEST := $(BIN)/python -m pytest -q -p tests.progress -o console_output_style=classic -r fE -n $(WORKERS) --dist loadfile

.PHONY: help run test test-all coverage messages test-variations lint train evaluate export bundle bench wheel page docs clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24
	@echo "  with RAVDESS=path for the corpus (a folder or the public zip), else it is downloaded once"

run: .venv/base  ## classify the sounds in tests/sounds with the bundled model
	$(BIN)/ser-edge tests/sounds

test: .venv/dev  ## the fast tests, in minutes
	$(PYTEST) -m "not slow" $(OPTIONS)

test-all: .venv/dev  ## all tests: training, conversion, clusters, pages and fuzzing too
	$(PYTEST) $(OPTIONS)

coverage: .venv/dev  ## the lines and branches of ser_edge that its tests run; fails below 95 %
	$(PYTEST) tests/edge tests/parity edge --cov
	$(BIN)/python tests/tools/branches.py

messages: .venv/dev  ## accept the wording of error messages as it is now, in tests/messages.txt
	$(PYTEST) --update-messages

test-variations: .venv/dev  ## the tests as on other processors, for other users, in other orders; VARIATION="haswell random", or --help
	$(BIN)/python -m tests.variations $(VARIATION)

lint: .venv/dev  ## style, spelling, types, and who may import whom; in seconds
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports

train: .venv/dev  ## train rnn, lstm and gru as the notebook did (15 minutes on 2 cores)
	$(BIN)/ser-train $(DATA) --jobs $(JOBS) --out runs

evaluate: .venv/dev  ## train every network by every protocol (a night on 2 cores), and make the README's table
	$(BIN)/ser-train $(DATA) --jobs $(JOBS) --protocol notebook utterance --out runs
	$(BIN)/ser-train $(DATA) --jobs $(JOBS) --protocol speaker --seed $(SEEDS) --out runs
	$(BIN)/ser-train $(ALL) --jobs $(JOBS) --arch $(ENCODED) --protocol speaker --seed $(SEEDS) --out runs
	$(BIN)/ser-train $(ALL) --arch whisper-gru --protocol all --out runs
	$(BIN)/ser-train $(ALL) --jobs $(JOBS) --arch crnn --teachers whisper-gru --protocol speaker --seed $(SEEDS) --out runs
	$(BIN)/ser-train $(ALL) --arch crnn --teachers whisper-gru --protocol all --out runs
	$(BIN)/ser-train evaluate runs/* --update-runs
	-$(BIN)/ser-export $(ENCODED:%=runs/%-speaker-*) runs/crnn-speaker-*-taught --precision int8 --out exported
	-$(BIN)/ser-export runs/crnn-speaker-*-taught --precision int8-per-tensor --format tflite --out exported
	$(BIN)/ser-train robustness runs/whisper-gru-speaker-* $(DATA) --jobs $(JOBS)
	$(BIN)/ser-train robustness runs/crnn-speaker-*-taught $(DATA) --jobs $(JOBS)
	$(BIN)/ser-train evaluate runs/* --exported exported --out train/results.json --page README.md edge/ser_edge/models/bundled/MODEL_CARD.md

export: .venv/dev  ## convert to ONNX and TFLite in every precision, verify each file, make export/results.md; RUNS="runs/..."
	$(BIN)/ser-export $(RUNS) --precision $(PRECISION) --out exported --report export

bundle: .venv/dev  ## make the bundled models from the runs trained on all speakers; `make evaluate` first, for their figures
	$(BIN)/ser-export runs/crnn-all-seed0-taught --name crnn --format onnx --precision int8 --out edge/ser_edge/models/bundled
	$(BIN)/ser-export runs/crnn-all-seed0-taught --name crnn --format tflite --precision int8-per-tensor --out edge/ser_edge/models/bundled
	$(BIN)/ser-export runs/whisper-gru-all-seed0 --name whisper-gru --precision int8 --out edge/ser_edge/models/bundled
	$(BIN)/ser-export --waveform small --out edge/ser_edge/models/bundled/waveform
	$(BIN)/python -c 'from ser_edge.models.integrity import write_self_test; write_self_test()'

bench: .venv/bench  ## measure what it costs beside what people would use instead; BENCH="--only network --rounds 9"
	$(BIN)/python tests/benchmarks/bench.py $(DATA) $(BENCH)

wheel: .venv/base  ## the file that installs ser-edge elsewhere: dist/ser_edge-*.whl
	rm -f dist/ser_edge-*.whl
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

page: .venv/dev  ## the page that recognises emotion in the visitor's browser alone: static files in dist/page; needs npm; MODEL=small
	$(BIN)/python export/page/build.py dist/page --model $(MODEL)

docs: .venv/dev  ## run what README.md and docs/ show, and write the outputs and the picture into them (minutes)
	$(BIN)/python -m tests.docs.rewrite
	$(BIN)/python docs/live_view.py
	$(BIN)/python docs/page_picture.py

clean:  ## remove the environment and what was built; runs/ stays
	rm -rf .venv build dist exported .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/base: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ser-edge needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(PIP) -e .
	@touch $@

.venv/dev: .venv/base
	$(PIP) -e '.[dev]'
	@touch $@

.venv/bench: .venv/dev
	$(PIP) -e '.[dev,bench]'
	@touch $@
