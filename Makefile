# Requires Python 3.11 or newer with pip, and a package index. Everything is installed into .venv.
PYTHON ?= python3
SECONDS ?= 60
MINUTES ?= 10
IMAGE ?= together-exporter:latest
BIN := .venv/bin
RUN_STAMP := .venv/.run
STAMP := .venv/.installed
LOCK := --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-config --upgrade --quiet \
	--custom-compile-command 'make lock'

.PHONY: help demo demo-stack test check lock golden generate pictures fuzz mutants bench soak cluster-test wheel sbom image clean

help:  ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
		printf '%-12s %s\n' "$$name" "$$text"; done

demo: $(RUN_STAMP)  ## run exporter and simulator; Ctrl-C stops them
	@$(BIN)/python -m exporter demo $(ARGS)

demo-stack: $(STAMP)  ## demo with Prometheus, Alertmanager and, if installed, Grafana; Ctrl-C stops them
	$(BIN)/python -m tools.demo_stack $(ARGS)

test: check  ## all checks and tests
	$(BIN)/pytest -n auto $(ARGS)

check: $(STAMP)  ## check lint, format, types, imports and generated files
	$(BIN)/ruff check
	$(BIN)/ruff format --check || (echo 'run: $(BIN)/ruff format'; exit 1)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo >.venv/imports.log || (cat .venv/imports.log; exit 1)
	$(BIN)/zizmor --offline --quiet --no-progress .github
	$(BIN)/python -m tools.generate --check

golden: $(STAMP)  ## regenerate golden files and the tables of docs/simulator.md; review the diff
	GOLDEN=1 $(BIN)/pytest tests/unit/metrics/test_golden.py tests/unit/deploy/test_helm.py tests/unit/simulator/test_page.py -q -p no:xdist

generate: $(STAMP)  ## regenerate docs, rules, dashboards and chart from the code
	$(BIN)/python -m tools.generate

pictures: $(STAMP)  ## regenerate the pictures in docs/; requires Chromium and Prometheus
	$(BIN)/python -m tools.pictures

lock: $(STAMP)  ## update the lock files in requirements/ for all supported platforms
	$(PYTHON) -m pip --python $(BIN)/python install -q uv
	$(BIN)/uv pip compile pyproject.toml $(LOCK) -o requirements/run.lock
	$(BIN)/uv pip compile pyproject.toml --group dev --constraint requirements/run.lock $(LOCK) -o requirements/dev.lock
	$(BIN)/uv pip compile --group build --constraint requirements/dev.lock $(LOCK) -o requirements/build.lock
	$(BIN)/uv pip compile --group fuzz $(LOCK) -o requirements/fuzz.lock
	$(BIN)/uv pip compile --group mutants --constraint requirements/dev.lock $(LOCK) -o requirements/mutants.lock

fuzz: $(STAMP)  ## run the fuzzer for SECONDS; failures are stored in .fuzz (Linux, CPython <= 3.13)
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --require-hashes -r requirements/fuzz.lock
	mkdir -p .fuzz/new
	$(BIN)/python -m tests.fuzz.fuzz_exposition -max_total_time=$(SECONDS) -max_len=4096 -timeout=20 \
		-artifact_prefix=.fuzz/ .fuzz/new tests/fuzz/corpus

mutants: $(STAMP)  ## run mutation tests of the core (hours; ARGS="--max-children 1" for one process)
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --require-hashes -r requirements/mutants.lock
	$(BIN)/mutmut run $(ARGS)
	$(BIN)/python -m tools.mutants

bench: $(STAMP)  ## run benchmarks; results in .bench/bench.json
	$(BIN)/python -m benchmarks.bench

soak: $(STAMP)  ## run a soak test for MINUTES; fails on leaks, failed scrapes and missed polls
	$(BIN)/python -m benchmarks.soak --minutes $(MINUTES)

cluster-test: $(STAMP)  ## test the chart and the manifests on a real API server; installs it with Go and apt, as root
	tests/cluster/install.sh
	PATH="$$PWD/.tools/bin:$$PATH" $(BIN)/pytest -p no:xdist -v tests/cluster/on_a_cluster.py $(ARGS)

wheel: $(STAMP)  ## build dist/*.whl and dist/*.tar.gz
	rm -rf dist
	$(BIN)/hatchling build

sbom: wheel  ## build dist/together-exporter.cdx.json (CycloneDX)
	$(PYTHON) -m venv --without-pip --clear .sbom
	$(PYTHON) -m pip --python .sbom/bin/python install --quiet --require-hashes -r requirements/run.lock
	$(PYTHON) -m pip --python .sbom/bin/python install --quiet --no-deps dist/*.whl
	sed "s/^dynamic = .*/version = \"$$(.sbom/bin/together-exporter --version | cut -d' ' -f2)\"/" pyproject.toml >.sbom/pyproject.toml
	$(BIN)/cyclonedx-py environment .sbom/bin/python --pyproject .sbom/pyproject.toml --mc-type application \
		--output-reproducible --output-file dist/together-exporter.cdx.json

image:  ## build IMAGE with Docker, or with buildah as root if Docker is not running
	deploy/image/build.sh $(IMAGE)

clean:  ## remove all build artifacts
	rm -rf .venv .sbom .tools dist .fuzz .bench mutants

# Uses the system's pip, because some distributions ship Python without ensurepip.
# `make demo` needs these packages only; all other targets add theirs.
$(RUN_STAMP): requirements/run.lock
	@echo "Installing the exporter's dependencies into .venv"
	@$(PYTHON) -m venv --without-pip --clear .venv
	@$(PYTHON) -m pip --python $(BIN)/python install --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(STAMP): $(RUN_STAMP) requirements/dev.lock pyproject.toml
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --require-hashes -r requirements/dev.lock
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --no-deps --no-build-isolation -e .
	touch $@
