# Needs only python3 (3.11 or newer), pip and make: .venv is made on first use.
#
#   make demo          solve an example game, plot it, write its certificate
#   make test          the test suite          (make test JOBS=8 for more cores)
#   make test-all      with every law for every solver, and compiled as users compile
#   make lint          ruff and pyright
#   make notebooks     run every notebook
#   make bench         the benchmarks
#   make pictures      draw the pictures of the README anew
#   make constraints   pin the newest versions again
#   make clean         remove .venv, caches and build output
#
# Another interpreter: make clean, then make test PYTHON=python3.13

PYTHON ?= python3
JOBS ?= 2
BIN := .venv/bin
VENV := .venv/.made-in

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint notebooks bench pictures constraints clean FORCE

help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)
	$(BIN)/minimax solve games/robust_regression.py --plot demo.png --json demo.json

# Most of the time of the tests is compiling, and most of that is optimising what runs for an instant
# (flags of the pinned XLA; `make test-all` and the newest releases in .ci/run do without).
test: export XLA_FLAGS += --xla_llvm_disable_expensive_passes=true --xla_cpu_use_fusion_emitters=false
test: $(VENV)
	$(BIN)/python -m pytest -n $(JOBS)

test-all: $(VENV)
	$(BIN)/python -m pytest -n $(JOBS) -m ""

lint: $(VENV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

# The suite's own options (doctests, shape checks) are for modules, not notebooks. Networks are
# trained for a few steps only; without NOTEBOOK_STEPS a notebook makes as many as it shows.
notebooks: $(VENV)
	NOTEBOOK_STEPS=200 MPLBACKEND=Agg $(BIN)/python -m pytest -o addopts= -n $(JOBS) --nbmake --nbmake-timeout=300 notebooks

bench: $(VENV)
	$(BIN)/python -m benchmarks.run

pictures: $(VENV)
	$(BIN)/python docs/pictures/hero.py

# Versions and markers only: no hosts, no hashes, no extras.
constraints: $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade \
	    --no-header --no-annotate --all-extras --strip-extras pyproject.toml -o constraints.txt

clean:
	rm -rf .venv build dist demo.png demo.json .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment is made afresh when the requirements change, when its
# interpreter is gone, and when the checkout was moved (installed scripts and
# the editable install hold absolute paths; the stamp records where it was made).
USABLE := $(shell $(BIN)/python -c '' 2>/dev/null && grep -qxF '$(CURDIR)' $(VENV) 2>/dev/null && echo yes)

$(VENV): pyproject.toml constraints.txt $(if $(USABLE),,FORCE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "error: minimax needs Python 3.11 or newer; '$(PYTHON)' says: $$($(PYTHON) --version 2>&1 | head -n 1); try: make PYTHON=python3.11" >&2; exit 1; }
	@echo "Making .venv with $$($(PYTHON) --version) (about a minute)"
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@echo '$(CURDIR)' > $(VENV)

FORCE:
