# The two commands that matter: `make demo` and `make test`. Both need Python 3.11 or newer and pip.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
MODELS ?= checkpoints/demo/step-001500

.PHONY: demo test check format clean calibrate bench bench-store fuzz bench-dashboard bench-profile bench-corpus bench-train validate-probes

demo: $(INSTALLED)  ## Train two checkpoints, measure, compare and gate them
	$(BIN)/evalkit demo

test: check  ## Linting, types and every test, two processes side by side
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

check: $(INSTALLED)  ## Linting and types only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)  ## Rewrite the code in the project's layout
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("evalkit needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

calibrate: $(INSTALLED)  ## Count coverage and false alarms by simulation, into reports/; about half an hour
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.calibration
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.sequential

bench-store: $(INSTALLED)  ## Make a large store and time its questions, into reports/store.md; three minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.store

fuzz: $(INSTALLED)  ## Five thousand spoilt inputs of every kind; four minutes
	EVALKIT_FUZZ=300 OMP_NUM_THREADS=1 $(BIN)/pytest tests/fuzz

bench: $(INSTALLED)  ## The engine against lm-eval's HFLM, into reports/; needs EVALKIT_MIRROR; half an hour
	$(BIN)/python -m benchmarks.engine

validate-probes: $(INSTALLED)  ## Plant effects and see whether the probes find them, into reports/; a quarter of an hour
	OMP_NUM_THREADS=1 $(BIN)/evalkit validate-probes --report reports/probe-validity.md

bench-train: $(INSTALLED)  ## evalkit train against a plain loop, into reports/training.md; five minutes
	OMP_WAIT_POLICY=passive $(BIN)/python -m benchmarks.train

bench-corpus: $(INSTALLED)  ## Make 50 MB of text into a corpus, into reports/corpus.md; three minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.corpus

bench-profile: $(INSTALLED)  ## Can evalkit profile be believed, into reports/profile.md; MODELS, twenty minutes each and more
	$(BIN)/python -m benchmarks.profile $(MODELS)

bench-dashboard: $(INSTALLED)  ## Serve a large store and time every page in Chromium, into reports/dashboard.md; two minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.dashboard

clean:  ## Remove what the commands above made, but no runs and no checkpoints
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
