# Two commands from nothing but python3 and make:
#   make demo    analyse the runs that ship in data/ (no torch needed), write out/
#   make test    install everything, run the suite
# and make docs, the site: docs/_build/html/index.html
#     make paper, the study: figures and tables in out/study/, docs/study.md
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Python compiles what it imports; to compile all that is installed took three quarters of the time.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile
DATA := data/grokking

# Processes at once.
JOBS ?= 2
FIGURES := scan evolution random_labels weight_decay_0 leads

.PHONY: demo $(FIGURES) test test-quick generic parts plain-parts lint types bench verify docs paper sweep clean
.DELETE_ON_ERROR:

demo: $(VENV)/analysis
	@mkdir -p out
	$(BIN)/heatcap observe $(DATA)/runs -o out/runs.nc --temperature 0.1:10:41
	@$(MAKE) --no-print-directory -j$(JOBS) $(FIGURES)
	$(BIN)/heatcap events $(DATA)/observables.nc -o out/events.csv --json out/audit.json
	$(BIN)/heatcap verdict $(DATA)/observables.nc --json out/verdict.json

scan:
	$(BIN)/heatcap figure scan out/runs.nc -o out/$@.pdf
evolution leads:
	$(BIN)/heatcap figure $@ $(DATA)/observables.nc -o out/$@.pdf
random_labels weight_decay_0:
	$(BIN)/heatcap figure evolution $(DATA)/observables.nc --group $@ -o out/$@.pdf

# Tests named by TESTS are all run; else rates by repetition (`statistical`) and files of gigabytes
# (`large`) with ALL=1 only.
# One thread each: two processes with threads of their own are slower than one.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadscope
test: $(VENV)/everything
ifdef ALL
	$(BIN)/coverage erase
	$(PYTEST) --cov --cov-report=term $(TESTS)
else
	$(PYTEST) $(or $(TESTS),-m "not statistical and not large")
endif

# For people at work.
test-quick: $(VENV)/everything
	$(PYTEST) -q -m "not slow and not statistical and not large" $(TESTS)

# A quick part of the suite and of the study as on a processor without vector instructions: sums come
# in another order there, and nothing that is tested or written may hang on it.  Slow tests with ALL=1.
PLAIN := $(BIN)/python .ci/generic.py
PLAIN_TESTS := tests/attention/test_kernels.py tests/scaling tests/divergence/test_shape_fits.py \
	tests/divergence/test_hump.py
PLAIN_PARTS := scan.json fraction_60.leads.json systems.json
generic: $(VENV)/everything
	OMP_NUM_THREADS=1 $(PLAIN) $(BIN)/python -m pytest -q -n $(JOBS) \
	    $(or $(TESTS),-m "not statistical$(if $(ALL),, and not slow)" $(PLAIN_TESTS))
	@$(MAKE) --no-print-directory -j$(JOBS) parts plain-parts
	cd out/study && for part in $(PLAIN_PARTS); do cmp $$part ../generic/$$part || exit 1; done
parts:
	@$(MAKE) --no-print-directory -f analysis/paper.mk PYTHON=$(BIN)/python $(PLAIN_PARTS:%=out/study/%)
plain-parts:
	@$(PLAIN) $(MAKE) --no-print-directory -f analysis/paper.mk PYTHON=$(BIN)/python \
	    OUT=out/generic $(PLAIN_PARTS:%=out/generic/%)

# Where torch's CPU builds are, if pip would otherwise bring one for CUDA (README says when).
TORCH_INDEX ?=

lint: $(VENV)/everything
	$(BIN)/ruff check src tests benchmarks analysis docs .ci
	$(BIN)/ruff format --check src tests benchmarks analysis docs/conf.py docs/_ext .ci

types: $(VENV)/everything $(VENV)/site
	$(BIN)/mypy
	$(BIN)/mypy --explicit-package-bases analysis/*.py docs/_ext/*.py .ci/*.py

bench: $(VENV)/everything
	$(BIN)/python benchmarks/kernels.py
	$(BIN)/python benchmarks/trainer.py
	$(BIN)/python benchmarks/peers.py
	$(BIN)/python benchmarks/load.py

verify: $(VENV)/everything
	$(PYTEST) -m statistical
	$(BIN)/python benchmarks/verify.py
	$(BIN)/python benchmarks/trainer_deaths.py
	$(BIN)/python benchmarks/fuzz.py --untrusted --jobs $(JOBS)

# Warnings are errors, and nothing is kept from the last build: every output belongs to this code.
docs: $(VENV)/site
	rm -rf docs/_build
	$(BIN)/sphinx-build -W --keep-going -q -E -j $(JOBS) docs docs/_build/html

# The study, from the observables that ship; parts that did not change are not made again.
paper: $(VENV)/analysis
	@$(MAKE) --no-print-directory -f analysis/paper.mk -j$(JOBS) PYTHON=$(BIN)/python

# Trains all runs of the study again: many hours.
sweep: $(VENV)/everything
	@$(MAKE) --no-print-directory -f analysis/paper.mk PYTHON=$(BIN)/python sweep

# constraints.txt pins what a set-up installs, so that it can be repeated.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/analysis: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -c constraints.txt -e .
	@touch $@

$(VENV)/everything: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -c constraints.txt $(addprefix --extra-index-url ,$(TORCH_INDEX)) -e ".[train,dask,test]"
	@touch $@ $(VENV)/analysis

$(VENV)/site: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -c constraints.txt -e ".[docs]"
	@touch $@ $(VENV)/analysis

clean:
	rm -rf out $(VENV) build docs/_build .pytest_cache .mypy_cache .ruff_cache
