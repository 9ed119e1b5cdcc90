# What people type; everything installs what it needs first (scripts/setup).
.DEFAULT_GOAL := help
.PHONY: help setup run test simulate lint shots bench messages lock clean
PY := .venv/bin/python
# More than a small machine has processors: many tests wait for processes of their own.
JOBS ?= 3
SEEDS ?= 10000
FIRST ?= 1
# Containers like to say this; then every one of the hundreds of processes of a test run compiles the whole house anew.
unexport PYTHONDONTWRITEBYTECODE

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1@\2/p' $(firstword $(MAKEFILE_LIST)) | column -t -s @ 2>/dev/null || \
		sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1: \2/p' $(firstword $(MAKEFILE_LIST))

setup: ## install what is missing: system packages, .venv, fonts, sounds, translations
	@scripts/setup run

run: setup ## the television with the bundled server; ARGS='--lang en --size 1280x720' and so on
	@exec .venv/bin/stb-app run --demo $(ARGS)

test: ## lint and all tests; PYTEST='-k purse' for some of them
	@scripts/setup test
	@$(MAKE) --no-print-directory lint
	$(PY) -m pytest -v -n $(JOBS) --dist loadgroup $(PYTEST)

simulate: ## the whole system with faults from SEEDS=10000 seeds; FIRST=1 is where they begin
	@scripts/setup test
	$(PY) -m tests.simulation --seeds $(SEEDS) --first $(FIRST) --jobs $(JOBS)

lint: ## ruff, mypy and the floors of the house
	@scripts/setup test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

shots: setup ## every screen as PNG in both languages, into build/shots
	$(PY) -m scripts.shots build/shots

bench: ## all measurements; each ends with a line of JSON
	@scripts/setup test
	$(PY) -m bench

messages: setup ## collect new messages from the source into the translations
	$(PY) scripts/make_locale.py messages

lock: ## newest versions of all Python packages into constraints.txt
	scripts/lock

clean: ## remove what set-up and tests made, .venv too
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -f assets/fonts/* assets/sounds/*.wav assets/locale/*/LC_MESSAGES/*.mo
	find . -name __pycache__ -prune -exec rm -rf {} +
