# Every target is a line of `make help`. Nothing runs while this file is read.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
# The CUDA libraries that an install script of onnxruntime-node would download are not needed on a CPU.
export ONNXRUNTIME_NODE_INSTALL := skip

NODE := tools/node
VITEST := $(NODE) node_modules/vitest/vitest.mjs run
PYTHON_DIR := .cache/python
MLFLOW_2_DIR := .cache/python-mlflow-2
INFERENCE_CLIENTS_DIR := .cache/python-inference-clients
MLFLOW_SERVER_DIR := .cache/python-mlflow-server

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install everything that building and running needs
	@tools/setup

$(PYTHON_DIR)/.assay-setup: test/parts/python/requirements.txt
	@echo "Installing the Python packages that the tests compare with (once) …"
	@rm -rf $(PYTHON_DIR)
	@python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-compile --no-deps --require-hashes --only-binary=:all: --target $(PYTHON_DIR) --requirement $<
	@touch $@

$(MLFLOW_2_DIR)/.assay-setup: test/parts/python/mlflow-2.txt
	@echo "Installing the older client of MLflow (once) …"
	@rm -rf $(MLFLOW_2_DIR)
	@python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-compile --no-deps --require-hashes --only-binary=:all: --target $(MLFLOW_2_DIR) --requirement $<
	@touch $@

$(INFERENCE_CLIENTS_DIR)/.assay-setup: test/parts/python/inference-clients.txt
	@echo "Installing the inference clients of Triton and KServe (once) …"
	@rm -rf $(INFERENCE_CLIENTS_DIR)
	@python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-compile --no-deps --require-hashes --only-binary=:all: --target $(INFERENCE_CLIENTS_DIR) --requirement $<
	@touch $@

$(MLFLOW_SERVER_DIR)/.assay-setup: test/parts/python/mlflow-server.txt
	@echo "Installing the server of MLflow that the benchmark compares with (once) …"
	@rm -rf $(MLFLOW_SERVER_DIR)
	@python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --require-hashes --only-binary=:all: --target $(MLFLOW_SERVER_DIR) --requirement $<
	@touch $@

SOURCES := $(wildcard $(foreach dir,packages/*/src services/*/src cli/src,$(dir)/*.ts $(dir)/*/*.ts $(dir)/*/*/*.ts $(dir)/*/*/*/*.ts))

.PHONY: build
build: setup dist/.assay-build ## Bundle the services and the command into dist/

dist/.assay-build: package-lock.json tools/build.ts $(SOURCES)
	@$(NODE) tools/build.ts
	@touch $@

.PHONY: up
up: build ## Start all services in one process and train the example (ASSAY_DATA_DIR moves the data)
	@exec $(NODE) cli/bin/assay.mjs up

.PHONY: test
test: setup build $(PYTHON_DIR)/.assay-setup $(MLFLOW_2_DIR)/.assay-setup $(INFERENCE_CLIENTS_DIR)/.assay-setup ## Run all tests
	@mkdir -p test/reports && rm -f test/reports/vitest.json
	@PYTHONPATH=$(CURDIR)/$(PYTHON_DIR) $(VITEST) --project unit --project real --project system \
	  --reporter=default --reporter=json --outputFile.json=test/reports/vitest.json

.cache/bin/.chart-tools: test/chart/install-tools
	@echo "Building helm and kubeconform (once; needs Go) …"
	@test/chart/install-tools
	@touch $@

.PHONY: chart-test
chart-test: setup build .cache/bin/.chart-tools ## Check the Helm chart and the files of the images (needs Go)
	@mkdir -p test/reports
	@$(VITEST) --project chart --reporter=default --reporter=json --outputFile.json=test/reports/chart.json

.PHONY: soak
soak: setup build $(PYTHON_DIR)/.assay-setup $(INFERENCE_CLIENTS_DIR)/.assay-setup ## Run the long forms of the kill and load tests
	@PYTHONPATH=$(CURDIR)/$(PYTHON_DIR) SOAK_RECORDS=100000 SOAK_KILLS=20 SOAK_FREEZES=4 SOAK_RESTARTS=10 $(VITEST) --project system test/kafka
	@SOAK_CONNECTIONS=10000 SOAK_DRAIN_MS=32000 SOAK_SECONDS=1800 SOAK_SWAP_MS=5000 SOAK_PAUSE_MS=20 $(VITEST) --project system test/inference
	@SOAK_KILLS=20 $(VITEST) --project real services/batch services/registry/src/collection/killed-collection
	@SCHEMATHESIS_EXAMPLES=100 $(VITEST) --project real services/inference/src/openapi.real.test.ts services/standalone/src/openapi.real.test.ts
	@SOAK_VERSIONS=200 $(VITEST) --project real services/registry/src/store/register-at-once.real.test.ts

.PHONY: gpu-test
gpu-test: setup ## Run what needs an NVIDIA GPU: ONNX Runtime on CUDA, XGBoost on CUDA (skipped where there is none)
	@$(NODE) test/gpu/run.ts

.PHONY: images
images: build ## Build the images (docker or buildah; ASSAY_BASE_IMAGE and ASSAY_IMAGE_TAG choose base and tag)
	@dockerfiles/build

.PHONY: cluster-test
cluster-test: build ## Run everything on a real one-node Kubernetes (root; builds Kubernetes once)
	@test/cluster/run

.PHONY: test-unit
test-unit: setup ## Run the fast tests only: no servers, no children (the inner loop)
	@$(VITEST) --project unit

.PHONY: check
check: lint types imports verify-generated ## Lint, types, import rules, generated files up to date

.PHONY: lint
lint: setup
	@node_modules/.bin/biome check --error-on-warnings .
	@cd proto && ../node_modules/.bin/buf lint && ../node_modules/.bin/buf format --diff --exit-code

.PHONY: types
types: setup
	@$(NODE) node_modules/typescript/bin/tsc --noEmit --incremental --tsBuildInfoFile .cache/types.tsbuildinfo -p .

.PHONY: imports
imports: setup
	@$(NODE) tools/check-imports.ts

.PHONY: format
format: setup ## Format the sources and apply the linter's safe fixes
	@node_modules/.bin/biome check --write .

.PHONY: generate
generate: setup ## Write the reference documents, OpenAPI and the gRPC code from the sources
	@$(NODE) tools/generate.ts
	@$(NODE) charts/generate.ts

.PHONY: verify-generated
verify-generated: setup ## Fail when a generated file differs from what the sources give
	@$(NODE) tools/generate.ts --verify
	@$(NODE) charts/generate.ts --verify

.PHONY: bench
bench: build $(MLFLOW_SERVER_DIR)/.assay-setup ## Measure scoring, training and the registry beside their baselines, in one run
	@PYTHONPATH=$(CURDIR)/$(PYTHON_DIR) $(NODE) test/load/bench.ts

.PHONY: clean
clean: ## Remove what was built and installed (the data folder stays)
	@rm -rf dist node_modules .cache test/reports
