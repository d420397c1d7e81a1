# `make demo` and `make test` need Python 3.11 or newer with pip, and a package index; everything lands in .venv.
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

help:  ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
		printf '%-12s %s\n' "$$name" "$$text"; done

demo: $(RUN_STAMP)  ## simulator and exporter together; Ctrl-C ends it
	@$(BIN)/python -m exporter demo $(ARGS)

demo-stack: $(STAMP)  ## demo, with Prometheus and Alertmanager, and Grafana where there is one; Ctrl-C ends them
	$(BIN)/python -m tools.demo_stack $(ARGS)

test: check  ## everything a landing must pass
	$(BIN)/pytest -n auto $(ARGS)

check: $(STAMP)  ## lint, format, types, import rules, generated files
	$(BIN)/ruff check
	$(BIN)/ruff format --check || (echo 'run: $(BIN)/ruff format'; exit 1)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo >.venv/imports.log || (cat .venv/imports.log; exit 1)
	$(BIN)/zizmor --offline --quiet --no-progress .github
	$(BIN)/python -m tools.generate --check

golden: $(STAMP)  ## rewrite the expected expositions and manifests, and the tables of docs/simulator.md; read the diff
	GOLDEN=1 $(BIN)/pytest tests/unit/metrics/test_golden.py tests/unit/deploy/test_helm.py tests/unit/simulator/test_page.py -q -p no:xdist

generate: $(STAMP)  ## rewrite what is made from the code: in docs/, the rules, the dashboards, the chart
	$(BIN)/python -m tools.generate

pictures: $(STAMP)  ## take the pictures in docs/ again; needs Chromium and Prometheus
	$(BIN)/python -m tools.pictures

lock: $(STAMP)  ## choose the versions in requirements/ again, with hashes, for every supported platform
	$(PYTHON) -m pip --python $(BIN)/python install -q uv
	$(BIN)/uv pip compile pyproject.toml $(LOCK) -o requirements/run.lock
	$(BIN)/uv pip compile pyproject.toml --group dev --constraint requirements/run.lock $(LOCK) -o requirements/dev.lock
	$(BIN)/uv pip compile --group build --constraint requirements/dev.lock $(LOCK) -o requirements/build.lock
	$(BIN)/uv pip compile --group fuzz $(LOCK) -o requirements/fuzz.lock
	$(BIN)/uv pip compile --group mutants --constraint requirements/dev.lock $(LOCK) -o requirements/mutants.lock

fuzz: $(STAMP)  ## coverage-guided, for SECONDS; what it finds lies in .fuzz (Linux, CPython <= 3.13)
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --require-hashes -r requirements/fuzz.lock
	mkdir -p .fuzz/new
	$(BIN)/python -m tests.fuzz.fuzz_exposition -max_total_time=$(SECONDS) -max_len=4096 -timeout=20 \
		-artifact_prefix=.fuzz/ .fuzz/new tests/fuzz/corpus

mutants: $(STAMP)  ## change the core in small ways: which changes does no test notice? (hours; ARGS="--max-children 1" for one process)
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --require-hashes -r requirements/mutants.lock
	$(BIN)/mutmut run $(ARGS)
	$(BIN)/python -m tools.mutants

bench: $(STAMP)  ## ratios, each measured side by side; JSON in .bench/bench.json
	$(BIN)/python -m benchmarks.bench

soak: $(STAMP)  ## a fleet with faults, scrapes and reloads for MINUTES; fails where something leaks, fails or is missed
	$(BIN)/python -m benchmarks.soak --minutes $(MINUTES)

cluster-test: $(STAMP)  ## the chart and the manifests on a real API server; installs it by Go and apt, as root
	tests/cluster/install.sh
	PATH="$$PWD/.tools/bin:$$PATH" $(BIN)/pytest -p no:xdist -v tests/cluster/on_a_cluster.py $(ARGS)

wheel: $(STAMP)  ## dist/*.whl and dist/*.tar.gz
	rm -rf dist
	$(BIN)/hatchling build

sbom: wheel  ## dist/together-exporter.cdx.json: what is installed with it, in CycloneDX
	$(PYTHON) -m venv --without-pip --clear .sbom
	$(PYTHON) -m pip --python .sbom/bin/python install --quiet --require-hashes -r requirements/run.lock
	$(PYTHON) -m pip --python .sbom/bin/python install --quiet --no-deps dist/*.whl
	sed "s/^dynamic = .*/version = \"$$(.sbom/bin/together-exporter --version | cut -d' ' -f2)\"/" pyproject.toml >.sbom/pyproject.toml
	$(BIN)/cyclonedx-py environment .sbom/bin/python --pyproject .sbom/pyproject.toml --mc-type application \
		--output-reproducible --output-file dist/together-exporter.cdx.json

image:  ## IMAGE, by Docker where its engine runs, else by buildah as root on a base of Debian's packages
	deploy/image/build.sh $(IMAGE)

clean:  ## remove what these targets have made, except what is committed
	rm -rf .venv .sbom .tools dist .fuzz .bench mutants

# pip is driven from outside: some distributions ship Python without the module that puts pip into an environment.
# `make demo` needs these packages only; all other targets add theirs.
$(RUN_STAMP): requirements/run.lock
	@echo "Installing what the exporter runs on into .venv"
	@$(PYTHON) -m venv --without-pip --clear .venv
	@$(PYTHON) -m pip --python $(BIN)/python install --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(STAMP): $(RUN_STAMP) requirements/dev.lock pyproject.toml
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --require-hashes -r requirements/dev.lock
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --no-deps --no-build-isolation -e .
	touch $@
