# Needs GNU make, sh and Python 3.10 or later with venv. Everything goes into .venv and .venv-* here.
.DEFAULT_GOAL := help
PYTHON ?= python3
# Byte code is written even where the environment forbids it: each process of the suite would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE
# Processes that run the suite; each runs whole files. One more than there are processors, because tests often wait.
WORKERS ?= $(shell expr $$(nproc) + 1)
# What `make nightly` runs and `make test` leaves out: benchmarks, third-party clients and tests, minutes of load.
NIGHTLY := tests/bench tests/clients tests/soak tests/upstream/test_optillm_own_tests.py
DAILY := $(addprefix --ignore=,$(NIGHTLY))
# A pair is a version of OptiLLM and one of Python. `make test-pairs` runs the tests whose result can depend on it. On
# OptiLLM: code that calls it or is called by it, and the defects that we work around. On Python: the event loop, the
# SDK, a whole process, and the import of each module.
PAIRS := tests/packaging/test_imports.py tests/cepo tests/host $(wildcard tests/upstream/test_cepo*.py \
	tests/upstream/test_defects*.py) tests/whole/test_batches.py tests/whole/test_composition.py \
	tests/whole/test_conversation_log.py tests/whole/test_with_simulator.py \
	tests/llm/test_sdk.py tests/llm/test_sdk_network.py tests/sidecar/test_process.py
# The suite on the pairs, without tests that do not depend on them: the documentation, benchmarks, and slow tests (a real
# model, the wheel, third-party clients).
ON_PAIRS := -m "not slow and not alone" --ignore=tests/docs --ignore=tests/bench

LOCKS := docker/requirements.lock docker/requirements-dev.lock
PAIR_LOCKS := docker/requirements.lock docker/requirements-test.lock
SUITE = -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
INSTALL = -m pip install -qq --disable-pip-version-check --no-deps
EDITABLE = $(INSTALL) --no-build-isolation --editable .

.PHONY: help
help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1 /p' Makefile | while read -r name text; do printf '  make %-11s %s\n' "$$name" "$$text"; done

.PHONY: venv
venv: .venv/.installed ## Make .venv: OptiLLM, the packages that CePO needs, the tools, and this package editable

.venv/.locked: $(LOCKS) docker/pip.lock docker/venv.sh
	sh docker/venv.sh .venv "$(PYTHON)" $(LOCKS)
	@touch $@

# Separate from .locked, so that a new entry point takes two seconds and not a new environment. An editable install
# copies one file, the plugin for optillm/plugins/.
INSTALLED := pyproject.toml optillm_cerebras_cepo/host/cepo_cerebras_plugin.py
.venv/.installed: .venv/.locked $(INSTALLED)
	.venv/bin/python $(EDITABLE)
	@touch $@

.PHONY: run
run: venv ## Watch a question being answered: by Cerebras if CEREBRAS_API_KEY is set, otherwise by a small local model
	@.venv/bin/cepo-cerebras demo

# The tests of limits that processes share need one, those of the page the other. Debian's package is installed if there
# is none on the PATH.
.PHONY: redis-server chromium
redis-server chromium:
	@command -v $@ >/dev/null || sh tests/support/install-package.sh $@

# Its promtool checks docs/alerts.yaml and the queries of docs/grafana.json.
.PHONY: prometheus
prometheus:
	@command -v promtool >/dev/null || sh tests/support/install-prometheus.sh

.PHONY: test
test: venv redis-server prometheus chromium ## Lint, types, and the suite
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/python $(SUITE) -m "not alone" $(DAILY)

RUNS ?= 10
LOAD ?= no
TESTS ?=

.PHONY: test-often
test-often: venv redis-server prometheus chromium ## The suite RUNS=10 times, beside a load with LOAD=yes; TESTS=path narrows it
	PYTHONPATH=tests .venv/bin/python -m support.often --runs $(RUNS) --load $(LOAD) -n $(WORKERS) --dist loadfile \
		--no-loadscope-reorder -m "not alone" $(DAILY) $(TESTS)

# The lowest and the highest versions of OptiLLM and Python that pyproject.toml allows.
.PHONY: test-pairs
test-pairs: .venv-oldest/.installed .venv-newest/.installed ## Tests that depend on versions, on (OptiLLM 0.3.21, Python 3.10) and (0.4.0, 3.13)
	.venv-oldest/bin/python $(SUITE) $(PAIRS)
	.venv-newest/bin/python $(SUITE) $(PAIRS)

.PHONY: explore
explore: venv redis-server chromium ## Property tests with new examples; a failure is printed with what reproduces it
	.venv/bin/python $(SUITE) -m "hypothesis and not alone" --hypothesis-profile=explore $(DAILY)

.PHONY: nightly
nightly: test-nightly explore upstream image-test ## What takes too long for each change: an hour

.PHONY: test-nightly
test-nightly: venv redis-server prometheus chromium .venv-oldest/.whole .venv-newest/.whole ## The rest of the suite, and the suite on both pairs
	.venv/bin/python $(SUITE) -m "not alone" $(NIGHTLY)
	.venv/bin/python -m pytest -m alone $(NIGHTLY)
	.venv-oldest/bin/python $(SUITE) $(ON_PAIRS)
	.venv-newest/bin/python $(SUITE) $(ON_PAIRS)

.PHONY: venvs
venvs: ## Make .venv and those of the pairs, side by side
	@$(MAKE) --no-print-directory -j$(WORKERS) venv .venv-oldest/.installed .venv-newest/.installed

.venv-oldest/.locked: $(PAIR_LOCKS) docker/optillm-0.3.21.lock docker/pip.lock docker/venv.sh
	python=$$(sh docker/find-python.sh 3.10) && \
		sh docker/venv.sh .venv-oldest "$$python" $(PAIR_LOCKS) docker/optillm-0.3.21.lock
	@touch $@

.venv-newest/.locked: $(PAIR_LOCKS) docker/pip.lock docker/venv.sh
	python=$$(sh docker/find-python.sh 3.13) && sh docker/venv.sh .venv-newest "$$python" $(PAIR_LOCKS)
	@touch $@

.venv-%/.installed: .venv-%/.locked $(INSTALLED)
	.venv-$*/bin/python $(EDITABLE)
	@touch $@

# The rest of the suite's packages.
.venv-%/.whole: .venv-%/.installed docker/requirements-dev.lock
	.venv-$*/bin/python $(INSTALL) --require-hashes --only-binary :all: -r docker/requirements-dev.lock
	@touch $@

.PHONY: bench
bench: venv ## Measure OptiLLM's loop and ours side by side, and write docs/benchmarks.md
	PYTHONPATH=tests .venv/bin/python -m bench

.PHONY: cpu
cpu: venv ## Compare processor time with that of an older checkout with its own .venv: OLD=folder
	PYTHONPATH=tests .venv/bin/python -m bench.cpu --old $(OLD)

# A file of labelled pairs, a JSON object a line: question, a, b, same, source. Without it, the suite's own sets.
ANSWERS ?= ../shared/data/answers/pairs.jsonl

.PHONY: votes
votes: venv ## Compare votes with labelled pairs, beside math_verify and OptiLLM; ANSWERS=file, OPEN=yes asks the local model
	PYTHONPATH=tests .venv/bin/python -m bench.votes --pairs $(ANSWERS) $(if $(filter yes,$(OPEN)),--open)

.PHONY: faults
faults: venv ## Measure both loops with faults and under limits, and write the table in docs/reliability.md
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
upstream: venv ## Test the pull requests of docs/upstream on OptiLLM's source distribution, and print their table
	PYTHONPATH=tests .venv/bin/python -m upstream.prove

.PHONY: dashboard
dashboard: venv prometheus ## Draw docs/grafana.json from a real Prometheus under load: five minutes, writes docs/dashboard.svg
	PYTHONPATH=tests .venv/bin/python -m bench.dashboard

.PHONY: way
way: venv ## Print and draw the files that one planned request enters, from the sidecar to the SDK and back
	PYTHONPATH=tests .venv/bin/python -m support.way

.PHONY: picture
picture: venv ## Draw docs/make-run.svg anew: the screen of a real `make run`
	PYTHONPATH=tests .venv/bin/python -m support.picture_of_run

.PHONY: pictures
pictures: venv chromium ## Draw the documentation's pictures of the page: docs/page*.png
	PYTHONPATH=tests .venv/bin/python -m support.screenshots

.PHONY: docs
docs: venv ## Write the generated parts of the documentation: settings, flags, metrics, budgets, fields and codes
	PYTHONPATH=tests .venv/bin/python -m support.generated_docs

.PHONY: lock
lock: ## Resolve docker/*.lock again
	sh docker/lock.sh

.PHONY: clean
clean: ## Remove everything that make made
	rm -rf .venv .venv-* dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
