# One command per task, the same on a laptop and in CI.  `make train` and `make test` set up
# everything they need: a virtual environment, pinned packages, Fashion-MNIST.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LENET := $(BIN)/lenet
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

NATIVE := $(wildcard native/*)

.PHONY: help train test check check-native check-gpu wasm map bench format lint types imports soak data compiler clean

help:  ## List the tasks
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

train: $(VENV)/.installed data  ## Set up, and train LeNet on Fashion-MNIST
	@if $(LENET) data verify fashion-mnist >/dev/null 2>&1; then $(LENET) train $(FLAGS); \
	else echo "Fashion-MNIST cannot be had here; training on the bundled digits instead"; \
	     $(LENET) train --data digits $(FLAGS); fi

# Tests start hundreds of processes; where Python is told to keep no compiled modules, each of them would
# compile all of them again.
test: $(VENV)/.test data  ## Set up, and run the tests, those that need an extra skipped
	@$(BIN)/python -m compileall -q src
	$(BIN)/python -m pytest -n auto --dist worksteal $(FLAGS)

check: $(VENV)/.development format-check lint types imports test  ## All that CI runs

format: $(VENV)/.development  ## Bring the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only --quiet .

format-check: $(VENV)/.development
	$(BIN)/ruff format --check .

lint: $(VENV)/.development  ## Look for mistakes
	$(BIN)/ruff check .

types: $(VENV)/.development  ## Check the types
	$(BIN)/mypy

imports: $(VENV)/.development  ## Check that imports go one way
	$(BIN)/lint-imports

map:  ## Write docs/architecture.md from the code's docstrings
	$(PYTHON) docs/architecture.py

# Under sanitizers, and as it is released; for ARM too where a compiler and an emulator are
# (Debian and Ubuntu: apt install g++-aarch64-linux-gnu qemu-user).
ARM := $(if $(and $(shell command -v aarch64-linux-gnu-g++),$(shell command -v qemu-aarch64)),arm)
ARM_FLAGS := -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
  -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
  "-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64;-L;/usr/aarch64-linux-gnu"

check-native: compiler $(VENV)/.development  ## The kernels under sanitizers, without Python
	@for build in address,undefined thread released $(ARM); do \
	  case $$build in \
	    released) set --;; \
	    arm) set -- $(ARM_FLAGS);; \
	    *) set -- -DLENET_SANITIZE=$$build;; \
	  esac; \
	  $(BIN)/cmake -S native -B build/check-$$build -G Ninja -DLENET_CHECK=ON -DLENET_WERROR=ON \
	    -DLENET_EMULATE_AVX512=$(if $(shell grep -m1 -o avx512bw /proc/cpuinfo 2>/dev/null),OFF,ON) \
	    -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja "$$@" >/dev/null && \
	  $(BIN)/cmake --build build/check-$$build && \
	  $(BIN)/ctest --test-dir build/check-$$build --output-on-failure || exit 1; done

# The kernels for the page, by a pinned compiler: the same bytes wherever it is installed (Debian 12:
# apt install clang-19 lld-19 libc++-19-dev-wasm32 libclang-rt-19-dev-wasm32 wasi-libc).  Exceptions are
# compiled and end in native/wasm.cpp; vectors have the four lanes of the set `baseline`, and nothing is
# contracted, since there is no fused multiply-add.
WASM ?= src/lenet/show/page/lenet.wasm
WASM_CXX ?= clang++-19
WASM_FLAGS := --target=wasm32-wasi -std=c++20 -O2 -msimd128 -fno-rtti -fexceptions -fno-math-errno \
  -fno-trapping-math -ffp-contract=off -DNDEBUG -DLENET_SERIAL -DLENET_ISA=baseline -Inative/serial \
  -Wall -Wextra -Wno-psabi
WASM_LINK := -mexec-model=reactor -Wl,--gc-sections -Wl,--strip-all -Wl,-z,stack-size=1048576
WASM_OBJECTS := $(addprefix build/wasm/,wasm.o engine.o network.o step.o groups.o ink.o picture.o \
  pieces.o plane.o)

wasm: $(WASM_OBJECTS)  ## Compile the kernels for the page
	$(WASM_CXX) $(WASM_FLAGS) $(WASM_LINK) $(WASM_OBJECTS) -o $(WASM)

build/wasm/%.o: native/%.cpp $(wildcard native/*.hpp native/serial/*)
	@mkdir -p build/wasm
	$(WASM_CXX) $(WASM_FLAGS) -c $< -o $@

# PyTorch is taken from the machine: the one that fits its GPU.
check-gpu: compiler  ## The PyTorch engine on a GPU, beside the CPU and the native engine
	$(PYTHON) -m venv --system-site-packages build/gpu
	build/gpu/bin/python -m pip install --quiet --disable-pip-version-check .
	build/gpu/bin/python tests/check_gpu.py $(FLAGS)

bench: $(VENV)/.bench data  ## Measure the native engine beside PyTorch and ONNX Runtime
	$(BIN)/python -m bench $(FLAGS)

soak: $(VENV)/.development data  ## The long fault tests, at full count
	$(BIN)/python -m pytest -m soak --override-ini addopts= -ra $(FLAGS)

# The package of Debian and Ubuntu is the second source, for a machine that reaches no mirror.
data: $(VENV)/.installed
	@$(LENET) data get fashion-mnist --quiet || { command -v apt-get >/dev/null \
	  && echo "no mirror can be reached; installing the package dataset-fashion-mnist" \
	  && apt-get -qq update && apt-get -qq install -y dataset-fashion-mnist; } || true

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); apt-get -qq update && \
	  apt-get -qq install -y python3-venv && $(PYTHON) -m venv $(VENV); }

# The native engine is compiled at install; without a compiler lenet says what is missing.
compiler:
	@command -v c++ >/dev/null || { command -v apt-get >/dev/null && apt-get -qq update && \
	  apt-get -qq install -y g++; } || true

# Each of these holds what the one before it does, so that the engine is compiled once.
$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt $(NATIVE) | compiler
	$(PIP) --editable .
	@touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml constraints.txt $(NATIVE) | compiler
	$(PIP) --editable '.[test]'
	@touch $(VENV)/.installed $@

# The packages are fetched while the engine is compiled.
$(VENV)/.development: $(VENV)/bin/python pyproject.toml constraints.txt $(NATIVE) | compiler
	@$(BIN)/python .ci/needs.py development > $(VENV)/.needs
	$(PIP) --requirement $(VENV)/.needs & fetched=$$!; $(PIP) --no-deps --editable . && wait $$fetched
	@touch $(VENV)/.installed $(VENV)/.test $@

$(VENV)/.bench: $(VENV)/.installed
	$(PIP) --editable '.[bench]'
	@touch $@

clean:  ## Remove what the tasks made, but no runs
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
