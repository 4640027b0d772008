# Needs GNU make, sh and Python 3.10 or later with venv. Everything goes into .venv and .venv-* here.
.DEFAULT_GOAL := help
PYTHON ?= python3
# Processes that run the suite, each whole files in the order of their tests. What measures a load comes after them.
WORKERS ?= $(shell nproc)
# What can differ between versions of OptiLLM: what calls it, and its process as a whole. Everything else runs once, in
# `make test`, and on every pair in `make nightly`.
PAIRS_ARGS ?= -m "not slow" tests/host tests/cepo tests/runtime tests/upstream tests/whole
NIGHTLY_ARGS := -m "not slow" --ignore=tests/docs --ignore=tests/bench

LOCKS := docker/requirements.lock docker/requirements-dev.lock
SUITE = -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
EDITABLE = -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .

.PHONY: help
help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1 /p' Makefile | while read -r name text; do printf '  make %-11s %s\n' "$$name" "$$text"; done

.PHONY: venv
venv: .venv/.installed ## Make .venv: OptiLLM, its slim set, the tools, and this package editable

.venv/.locked: $(LOCKS) docker/pip.lock docker/venv.sh
	sh docker/venv.sh .venv "$(PYTHON)" $(LOCKS)
	@touch $@

# Apart from the locks, so that a new entry point costs two seconds instead of all. The shim is the one
# file that an editable install copies.
INSTALLED := pyproject.toml optillm_cerebras_cepo/host/cepo_cerebras_plugin.py
.venv/.installed: .venv/.locked $(INSTALLED)
	.venv/bin/python $(EDITABLE)
	@touch $@

.PHONY: run
run: venv ## Run the demo: a plan, its execution, a review and an answer from a real small model
	@.venv/bin/cepo-cerebras demo

# The tests of the pace that processes share start it. Debian's, where there is none; another one on the PATH will do.
.PHONY: redis-server
redis-server:
	@command -v redis-server >/dev/null || sh tests/support/install-redis.sh

.PHONY: test
test: venv redis-server ## Lint, types, and the whole suite
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/python $(SUITE) -m "not alone"
	.venv/bin/python -m pytest -m alone

# The ends of what pyproject.toml allows: OptiLLM and Python.
.PHONY: nightly
nightly: ## What takes too long for each change: the suite on both pairs, the pull requests one by one, the image
	$(MAKE) test-pairs PAIRS_ARGS='$(NIGHTLY_ARGS)'
	$(MAKE) upstream
	$(MAKE) image-test

.PHONY: test-pairs
test-pairs: .venv-oldest/.installed .venv-newest/.installed redis-server ## What calls OptiLLM, on (OptiLLM 0.3.21, Python 3.10) and (0.4.0, 3.13)
	.venv-oldest/bin/python $(SUITE) $(PAIRS_ARGS)
	.venv-newest/bin/python $(SUITE) $(PAIRS_ARGS)

.PHONY: venvs
venvs: ## Make .venv and those of the pairs, side by side
	@$(MAKE) --no-print-directory -j$(WORKERS) venv .venv-oldest/.installed .venv-newest/.installed

.venv-oldest/.locked: $(LOCKS) docker/optillm-0.3.21.lock docker/pip.lock docker/venv.sh
	python=$$(sh docker/find-python.sh 3.10) && \
		sh docker/venv.sh .venv-oldest "$$python" $(LOCKS) docker/optillm-0.3.21.lock
	@touch $@

.venv-newest/.locked: $(LOCKS) docker/pip.lock docker/venv.sh
	python=$$(sh docker/find-python.sh 3.13) && sh docker/venv.sh .venv-newest "$$python" $(LOCKS)
	@touch $@

.venv-%/.installed: .venv-%/.locked $(INSTALLED)
	.venv-$*/bin/python $(EDITABLE)
	@touch $@

.PHONY: bench
bench: venv ## Measure OptiLLM's loop and ours side by side, and write docs/benchmarks.md
	PYTHONPATH=tests .venv/bin/python -m bench

.PHONY: faults
faults: venv ## Measure both loops among faults and under limits, and write the table in docs/reliability.md
	PYTHONPATH=tests .venv/bin/python -m bench.faults

.PHONY: load
load: venv ## Measure the sidecar beside stock optillm under load, and write the figures in docs/sidecar.md
	PYTHONPATH=tests .venv/bin/python -m bench.sidecar

.PHONY: size
size: venv ## Install OptiLLM as pip does, and the sidecar's set: ten minutes, 8 GB; write both sizes in docs/sidecar.md
	PYTHONPATH=tests .venv/bin/python -m bench.size

# Minutes of load, for `make soak`.
MINUTES ?= 10

.PHONY: soak
soak: venv ## Steady load with faults for MINUTES=10: nothing lost, leaked or left uncounted
	PYTHONPATH=tests .venv/bin/python -m soak --page --minutes $(MINUTES)

.PHONY: image-test
image-test: ## Build the sidecar's image and run it, on a Docker engine of its own
	bash tests/image/image-check.sh

.PHONY: upstream
upstream: venv ## Prove the pull requests of docs/upstream on OptiLLM's source distribution, and print their table
	PYTHONPATH=tests .venv/bin/python -m upstream.prove

.PHONY: lock
lock: ## Resolve docker/*.lock anew
	sh docker/lock.sh

.PHONY: clean
clean: ## Remove everything that make made
	rm -rf .venv .venv-* dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
