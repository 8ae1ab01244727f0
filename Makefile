# The commands of this project; `make help` lists them.

# The Python to install into; a .venv that is there keeps its own.
PYTHON ?= $(shell python3 local/choose_python.py 2>/dev/null || echo python3)
VENV := .venv
BIN := $(VENV)/bin
# Stamp files: when the runtime packages were installed, and when the development tools were.
RUNTIME := $(VENV)/installed
TOOLS := $(VENV)/installed-dev
# How many tests run in parallel; use ARGS="-n0 --pdb" for a debugger.
WORKERS ?= auto
WITH_SERVICES := $(BIN)/python -m local with-services --no-fsync --

# Compile each file once, and not in each worker and in each process that a test starts.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run cluster cluster-status cluster-fault chaos-cluster restore-drill reset test quick bench chaos lint format requirements install schema

help:  ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '%-22s%s\n' "$$name" "$$text"; done

run: $(RUNTIME)  ## run the whole brokerage on this machine, until Ctrl-C
	@exec $(BIN)/python -m local run

reset: $(RUNTIME)  ## remove the data of `make run`, to start over
	@exec $(BIN)/python -m local reset

cluster: $(RUNTIME)  ## run a highly available cluster: 20 nodes in network namespaces, until Ctrl-C (Linux, root; PORT)
	@exec $(BIN)/python -m cluster up

cluster-status: $(RUNTIME)  ## watch the cluster's nodes, roles, lag, and which nodes serve the lanes
	@exec $(BIN)/python -m cluster status

cluster-fault: $(RUNTIME)  ## break a node of the cluster (FAULT="power db1 30")
	@exec $(BIN)/python -m cluster fault $(FAULT)

test: $(TOOLS)  ## run the tests, with a PostgreSQL and a Valkey of their own (ARGS="-k trade -x")
	@exec $(WITH_SERVICES) $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder $(ARGS)

quick: $(TOOLS)  ## run all tests that start no second process, in parallel (ARGS="-k trade -x")
	@exec $(WITH_SERVICES) $(BIN)/python -m pytest -m quick -n $(WORKERS) --dist worksteal -q $(ARGS)

bench: $(RUNTIME)  ## run the benchmark (BENCH_ONLY=limit,settled BENCH_SECONDS=15)
	@exec $(BIN)/python -m benchmarks

chaos: $(TOOLS)  ## inject random faults, and prove that the promises held (CHAOS_SECONDS=120, CHAOS_SEED)
	@exec $(BIN)/python -m chaos

chaos-cluster: $(TOOLS)  ## kill and cut off every kind of node of a cluster, and prove the same (CHAOS_RATE, CHAOS_SECONDS)
	@exec $(BIN)/python -m chaos --cluster

restore-drill: $(TOOLS)  ## back up, delete the database, restore to a point in time, and check the result
	@exec $(BIN)/python -m chaos.restore

lint: $(TOOLS)  ## check style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/djhtml --check --tabwidth 2 templates */templates
	DATABASE_URL=postgres://none@127.0.0.1:1/none SECRET_KEY=unused EXCHANGE_SECRET= $(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/bandit -q -ll -c pyproject.toml -r web accounts exchange trades feed webhooks alpaca_api office brokerage local cluster chaos benchmarks -x benchmarks/peers

format: $(TOOLS)  ## format the code and the templates
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	$(BIN)/djhtml --tabwidth 2 templates */templates

schema: $(TOOLS)  ## write docs/openapi.yaml and brokerage/database/schema.sql from the code
	@$(BIN)/python -m local.write_schema
	@DATABASE_URL=postgres://none@127.0.0.1:1/none SECRET_KEY=unused EXCHANGE_SECRET= \
		$(BIN)/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

requirements: $(TOOLS)  ## pin the packages that the requirements*.in files ask for
	@for name in requirements requirements-local requirements-dev; do \
		$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 $$name.in -o $$name.txt || exit 1; \
	done

install: $(TOOLS)  ## create .venv with all packages and tools (the other commands do this when needed)

$(RUNTIME): requirements.txt requirements-local.txt
	$(install)
	@touch $@

$(TOOLS): requirements.txt requirements-local.txt requirements-dev.txt
	$(install)
	@touch $(RUNTIME) $@

# Install the target's prerequisites, with uv if available, otherwise with pip. The target is touched last, so that an
# interrupted installation is repeated.
define install
	@command -v "$(PYTHON)" >/dev/null || { echo "error: $(PYTHON) is not installed: install Python 3.11 or newer" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: Python 3.11 or newer is required, but $(PYTHON) is older: install it and run make PYTHON=/path/to/it" >&2; exit 1; }
	@echo "installing $^ into $(VENV), for $(PYTHON)"
	@uv=$$(command -v uv || { [ -x $(BIN)/uv ] && echo $(BIN)/uv; } || true); \
	if [ -n "$$uv" ] && "$$uv" --version >/dev/null 2>&1; then \
		$(BIN)/python -c '' 2>/dev/null || "$$uv" venv --quiet --clear --python "$$(command -v "$(PYTHON)")" $(VENV) && \
		"$$uv" pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes $(addprefix -r ,$^); \
	else \
		"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
			echo "error: $(PYTHON) has no venv module: install it (Debian: apt install python3-venv)" >&2; exit 1; }; \
		$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV) && \
		$(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --require-hashes $(addprefix -r ,$^); \
	fi
endef
