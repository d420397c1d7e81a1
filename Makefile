# `make demo` and `make test` need Python 3.11 or newer with pip, and a package index; everything lands in .venv.
PYTHON ?= python3
SECONDS ?= 60
MINUTES ?= 10
IMAGE ?= together-exporter:latest
BIN := .venv/bin
STAMP := .venv/.installed
LOCK := --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-config --upgrade --quiet \
	--custom-compile-command 'make lock'

.PHONY: demo demo-stack test check lock golden docs pictures rules dashboards chart fuzz mutants bench soak cluster-test wheel sbom image clean

demo: $(STAMP)  ## simulator and exporter together; Ctrl-C ends it
	$(BIN)/together-exporter demo $(ARGS)

demo-stack: $(STAMP)  ## demo, with Prometheus and Alertmanager, and Grafana where there is one; Ctrl-C ends them
	$(BIN)/python -m deploy.demo_stack $(ARGS)

test: check  ## everything a landing must pass
	$(BIN)/pytest -n auto $(ARGS)

check: $(STAMP)  ## lint, format, types, import rules, generated files
	$(BIN)/ruff check
	$(BIN)/ruff format --check || (echo 'mend: $(BIN)/ruff format'; exit 1)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo >.venv/imports.log || (cat .venv/imports.log; exit 1)
	$(BIN)/zizmor --offline --quiet --no-progress .github
	$(BIN)/python -m docs.generate --check
	$(BIN)/python -m deploy.prometheus.rules --check
	$(BIN)/python -m dashboards.generate --check
	$(BIN)/python -m deploy.helm.generate --check

golden: $(STAMP)  ## rewrite the expected expositions and manifests; read the diff
	GOLDEN=1 $(BIN)/pytest tests/unit/metrics/test_golden.py tests/unit/deploy/test_helm.py -q -p no:xdist

docs: $(STAMP)  ## rewrite what in docs/ is made from the code
	$(BIN)/python -m docs.generate

pictures: $(STAMP)  ## take the pictures in docs/ anew; needs Chromium and Prometheus
	$(BIN)/python -m docs.pictures

dashboards: $(STAMP)  ## rewrite the dashboards' JSON
	$(BIN)/python -m dashboards.generate

chart: $(STAMP)  ## rewrite what in the Helm chart is made from elsewhere
	$(BIN)/python -m deploy.helm.generate

rules: $(STAMP)  ## rewrite the rules' YAML
	$(BIN)/python -m deploy.prometheus.rules

lock: $(STAMP)  ## choose versions anew, hashed, for every supported platform
	$(PYTHON) -m pip --python $(BIN)/python install -q uv
	$(BIN)/uv pip compile pyproject.toml $(LOCK) -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --group dev --constraint requirements.lock $(LOCK) -o requirements-dev.lock
	$(BIN)/uv pip compile --group build --constraint requirements-dev.lock $(LOCK) -o requirements-build.lock
	$(BIN)/uv pip compile --group fuzz $(LOCK) -o requirements-fuzz.lock
	$(BIN)/uv pip compile --group mutants --constraint requirements-dev.lock $(LOCK) -o requirements-mutants.lock

fuzz: $(STAMP)  ## coverage-guided, for SECONDS; what it finds lies in .fuzz (Linux, CPython <= 3.13)
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --require-hashes -r requirements-fuzz.lock
	mkdir -p .fuzz/new
	$(BIN)/python -m tests.fuzz.fuzz_exposition -max_total_time=$(SECONDS) -max_len=4096 -timeout=20 \
		-artifact_prefix=.fuzz/ .fuzz/new tests/fuzz/corpus

mutants: $(STAMP)  ## change the core in small ways; shows which changes no test notices (an hour)
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --require-hashes -r requirements-mutants.lock
	$(BIN)/mutmut run
	$(BIN)/mutmut results

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
	$(PYTHON) -m pip --python .sbom/bin/python install --quiet --require-hashes -r requirements.lock
	$(PYTHON) -m pip --python .sbom/bin/python install --quiet --no-deps dist/*.whl
	sed "s/^dynamic = .*/version = \"$$(.sbom/bin/together-exporter --version | cut -d' ' -f2)\"/" pyproject.toml >.sbom/pyproject.toml
	$(BIN)/cyclonedx-py environment .sbom/bin/python --pyproject .sbom/pyproject.toml --mc-type application \
		--output-reproducible --output-file dist/together-exporter.cdx.json

image:  ## IMAGE, by Docker where its engine runs, else by buildah as root on a base of Debian's packages
	deploy/image/build.sh $(IMAGE)

clean:
	rm -rf .venv .sbom .tools dist .fuzz .bench mutants

# pip is driven from outside: some distributions ship Python without the module that puts pip into an environment.
$(STAMP): requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv --without-pip --clear .venv
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --require-hashes -r requirements-dev.lock
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --no-deps --no-build-isolation -e .
	touch $@
