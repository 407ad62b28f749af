# Two commands: `make demo` and `make test`. Both do their own set-up and leave the environment in .venv.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Idle OpenMP threads wait instead of spinning, so that other work on the machine is not starved.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test test-slow lint docs clean

demo: $(STAMP)
	@.ci/with_display $(BIN)/python -m napari_gigaclf demo --output demo

# Two processes with one thread each fit two cores better than one process with two; a file's tests stay together.
test: $(STAMP) lint docs
	OMP_NUM_THREADS=1 .ci/with_display $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test-slow: $(STAMP)
	.ci/with_display $(BIN)/python -m pytest -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports

# pip's own environment variables are honoured: point PIP_INDEX_URL at PyTorch's CPU or CUDA index if you wish.
$(STAMP): pyproject.toml constraints.txt .ci/system_packages
	.ci/system_packages
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[all,dev]"
	touch $@

docs: $(STAMP)
	$(BIN)/python -m sphinx -q -W --keep-going docs build/docs

clean:
	rm -rf demo build dist .pytest_cache .mypy_cache .ruff_cache
