# private-genai-operator. `make help` tells what there is; everything that is made lies in .local and target.

LOCAL              ?= $(CURDIR)/.local
PYTHON             ?= python3
CARGO              ?= cargo
CARGO_DENY_VERSION := 0.20.2

# One build serves the demo and all tests: the tests switch on features of some dependencies, so a build of the program
# alone would compile those once more.
CARGO_TARGETS := --locked --bins --tests
TARGET        := $(abspath $(or $(CARGO_TARGET_DIR),target))
OPERATOR      := $(TARGET)/debug/private-genai-operator
STACK         := $(PYTHON) tests/local/stack.py
VENV          := $(LOCAL)/venv/bin/python
DENY          := $(LOCAL)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
RESULTS       := $(LOCAL)/results
IMAGE         := $(TARGET)/image
IMAGE_TOOLS   := $(LOCAL)/image-tools
CYCLONEDX_VERSION := 0.5.9
CYCLONEDX     := $(LOCAL)/cargo-cyclonedx-$(CYCLONEDX_VERSION)/bin/cargo-cyclonedx
# Two parts beside each other, each of which is shown as a whole when it ends.
BESIDE        := --jobs=2 --output-sync=target
# `make test` plays so many random histories; `make test-full` sets these otherwise.
HISTORIES     := 300
END_TO_END    :=
# `make bench`: how many apps converge, and how many are there at once.
NS            := 1 100 1000 3000
LOADED        := 10000
# What a runner says is shown, and kept for the closing lines.
KEEP           = (mkdir -p $(RESULTS) && tee $(RESULTS)/$@.log)

export PGAI_LOCAL_DIR          := $(LOCAL)
export PGAI_NODE_MODULES       := $(LOCAL)/node/node_modules
export PYTHONDONTWRITEBYTECODE := 1

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-print-directory

.PHONY: help
help: ## Tell what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: runnable ## Show it working: from kubectl apply to text over a private path, and back to nothing
	@$(VENV) tests/local/demo.py

.PHONY: check
check: ## Run what is for every day: format, lints, unit tests, tests in memory without the tables of faults
	@$(MAKE) test-format
	@$(MAKE) test-names
	@$(MAKE) test-clippy
	$(CARGO) test --locked --lib --test in_memory --test conformance -- \
	  --skip faults:: --skip repair::table --skip simulate:: --skip the_local_aws

.PHONY: test
test: ## Run every check and test; of each table of faults a sample
	@rm -rf $(RESULTS)
	@$(MAKE) test-format
	@$(MAKE) test-names
	@$(MAKE) build
	@$(MAKE) $(BESIDE) test-aws test-crds test-handler test-policies test-image test-docs test-deny test-clippy
	@$(MAKE) test-rust
	@$(MAKE) test-simulation
	@$(MAKE) $(BESIDE) test-end-to-end test-chart test-gitops test-stack
	@$(MAKE) results
	@echo "==== all passed"

.PHONY: test-full
test-full: ## Run the same with every cell of every table, every point of a crash, and two thousand random histories
	@$(MAKE) test PGAI_EVERY_CELL=1 HISTORIES=2000 \
	  END_TO_END='--include-ignored --skip killed_at_any_write'

.PHONY: simulate
simulate: ## Play any number of random histories: make simulate SEEDS=10000 FIRST=1
	PGAI_SIMULATE_SEEDS=$(or $(SEEDS),10000) PGAI_SIMULATE_FIRST=$(or $(FIRST),1) CARGO_PROFILE_DEV_OPT_LEVEL=1 \
	  $(CARGO) test --locked --test in_memory simulate::

# Our own code is optimised for it, and the dependencies are those of `make test`, so that the first build takes eight
# minutes of processor time and not twenty.
.PHONY: model-check
model-check: ## Visit a million states of larger worlds, 10 minutes: make model-check ONLY='a scenario' STATES=100000
	$(if $(ONLY),PGAI_MODEL_ONLY='$(ONLY)') $(if $(STATES),PGAI_MODEL_STATES=$(STATES)) CARGO_PROFILE_DEV_OPT_LEVEL=2 \
	  $(CARGO) test --locked --test model_check -- --include-ignored --nocapture larger_worlds

# The measured program is the shipped one. The AWS that it calls is built with the tests' dependencies, and with our own code
# optimised, so that this AWS answers at once.
.PHONY: bench
bench: ## Measure what a change costs among many apps, for hours: make bench NS="1 100" LOADED= (docs/performance.md)
	$(STACK) build --only kubernetes --only aws
	nice $(CARGO) build --locked --release --bin private-genai-operator
	aws=$$(CARGO_PROFILE_DEV_OPT_LEVEL=2 nice $(CARGO) build --locked --test bench_aws --message-format=json-render-diagnostics \
	  | sed -n 's/.*"executable":"\([^"]*bench_aws[^"]*\)".*/\1/p') && \
	  $(VENV) tests/local/bench.py --aws "$$aws" --converge $(NS) --load $(LOADED)

.PHONY: lint
lint: test-format test-clippy test-deny advisories ## Check format, lints, licences and sources (and advisories, with internet)

.PHONY: crds
crds: operator ## Write crds/ from the code
	@mkdir -p crds
	$(OPERATOR) crd --output-dir crds

.PHONY: reference
reference: ## Write docs/reference from the code
	@mkdir -p docs/reference
	PGAI_WRITE_REFERENCE=1 $(CARGO) test --locked --lib cli::reference::

.PHONY: up
up: ## Leave the local stack running, and print the exports to use it by hand
	@$(STACK) up

.PHONY: down
down: ## Stop the stack that `up` left running
	@$(STACK) down

.PHONY: clean-local
clean-local: ## Stop that stack and remove .local
	@$(STACK) clean

# ---- building

.PHONY: build
build: ## Build the operator, its tests and the local stack
	@$(MAKE) --jobs=2 operator stack

# Without what only the tests need.
.PHONY: runnable
runnable:
	@$(MAKE) --jobs=2 operator runnable-stack

.PHONY: runnable-stack
runnable-stack:
	$(STACK) build --only kubernetes --only aws --only node

.PHONY: operator
operator:
	$(CARGO) build $(CARGO_TARGETS)

.PHONY: stack
stack:
	$(STACK) build

$(DENY):
	$(CARGO) install --quiet --locked --debug --root $(LOCAL)/cargo-deny-$(CARGO_DENY_VERSION) --version $(CARGO_DENY_VERSION) cargo-deny

# ---- the image

.PHONY: image
image: $(IMAGE_TOOLS)/done ## Build the container image for amd64 and arm64 without an engine: PUSH=registry.example/operator:0.1.0 SOURCE=https://git.example/operator
	rustup target add x86_64-unknown-linux-musl aarch64-unknown-linux-musl
	PATH="$(IMAGE_TOOLS)/bin:$$PATH" $(CARGO) zigbuild --release --locked --bin private-genai-operator \
	  --target x86_64-unknown-linux-musl --target aarch64-unknown-linux-musl
	cd image && go run . --output $(IMAGE) $(if $(PUSH),--push $(PUSH)) $(if $(SOURCE),--source $(SOURCE)) \
	  --version "$$(cargo pkgid --manifest-path ../Cargo.toml | sed 's/.*[#@]//')" \
	  --revision "$$(git rev-parse HEAD)" --created "$$(git log -1 --format=%ct)" \
	  --certificates "$$($(IMAGE_TOOLS)/bin/python -m certifi)" \
	  --binary linux/amd64=$(TARGET)/x86_64-unknown-linux-musl/release/private-genai-operator \
	  --binary linux/arm64=$(TARGET)/aarch64-unknown-linux-musl/release/private-genai-operator \
	  | tee $(IMAGE)-size.txt

.PHONY: image-size
image-size: image ## Tell how large the program and the image are, by platform (`make image` does so in its end)

.PHONY: sbom
sbom: $(CYCLONEDX) ## Write what the program is built of, as a CycloneDX bill of materials
	mkdir -p $(IMAGE)-sbom
	$(CYCLONEDX) cyclonedx --format json --target x86_64-unknown-linux-musl --override-filename private-genai-operator.cdx
	mv private-genai-operator.cdx.json $(IMAGE)-sbom/
	@echo "$(IMAGE)-sbom/private-genai-operator.cdx.json: $$(grep -c '"bom-ref"' $(IMAGE)-sbom/private-genai-operator.cdx.json) components"

$(IMAGE_TOOLS)/done: image/requirements.txt
	$(PYTHON) -m venv --clear $(IMAGE_TOOLS)
	$(IMAGE_TOOLS)/bin/pip install --quiet --requirement $<
	@touch $@

$(CYCLONEDX):
	$(CARGO) install --quiet --locked --debug --root $(LOCAL)/cargo-cyclonedx-$(CYCLONEDX_VERSION) --version $(CYCLONEDX_VERSION) cargo-cyclonedx

# ---- the parts of `make test`

.PHONY: test-format
test-format:
	@echo "==== format"
	$(CARGO) fmt --check

.PHONY: test-names
test-names:
	@echo "==== names of tests: sentences of at most 80 characters"
	@! grep -rnE --include='*.rs' --include='*.py' --include='*.mjs' \
	  '^ *(pub )?(async )?fn [a-z0-9_]{81}|^ *def test_[a-z0-9_]{76}|^ *test\('"'"'[^'"'"']{81}' src tests

.PHONY: test-crds
test-crds:
	@echo "==== crds/ is what the code says"
	@rm -rf $(LOCAL)/crds && mkdir -p $(LOCAL)/crds
	@$(OPERATOR) crd --output-dir $(LOCAL)/crds
	@diff -ru crds $(LOCAL)/crds || { echo "crds/ is out of date. Run: make crds"; exit 1; }

.PHONY: test-handler
test-handler:
	@echo "==== the built-in handler, with the real AWS SDK"
	node --test --test-reporter=spec tests/handler/ 2>&1 | $(KEEP)

.PHONY: test-aws
test-aws:
	@echo "==== the local AWS"
	PYTHON=$(VENV) tests/local/aws/run-tests discover --verbose 2>&1 | $(KEEP)

.PHONY: test-policies
test-policies:
	@echo "==== every policy, judged by a linter and by AWS's authorization reference"
	$(CARGO) test --locked --test policies 2>&1 | $(KEEP)

.PHONY: test-stack
test-stack:
	@echo "==== the local stack"
	$(PYTHON) tests/local/stack_test.py --verbose 2>&1 | $(KEEP)

.PHONY: test-chart
test-chart:
	@echo "==== the charts, the examples, alerts and dashboard, on the real API server"
	cd tests/chart && $(VENV) -m unittest discover --verbose --pattern '*_test.py' 2>&1 | $(KEEP)

.PHONY: test-image
test-image:
	@echo "==== what images are made of"
	cd image && go vet . && go test -count=1 . 2>&1 | $(KEEP)

.PHONY: test-docs
test-docs:
	@echo "==== links, commands, manifests and names in the docs; the workflows"
	PYTHONPATH=tests/local $(VENV) tests/docs/docs_test.py 2>&1 | $(KEEP)

.PHONY: test-gitops
test-gitops:
	@echo "==== Argo CD and Flux: health in the real Lua and kstatus, syncs on the real API server"
	PYTHONPATH=tests/local $(VENV) -m unittest discover --verbose --start-directory tests/gitops --pattern '*_test.py' 2>&1 | $(KEEP)

.PHONY: gitops-testdata
gitops-testdata: build ## Record the statuses that the tests of the health checks for Argo CD are about
	PYTHONPATH=tests/local PGAI_RECORD=1 $(VENV) tests/gitops/live_test.py

.PHONY: test-rust
test-rust:
	@echo "==== unit tests, tables of faults, model check, facts about AWS, all in memory but the local AWS"
	{ $(CARGO) test --locked --lib --bins --test conformance --test in_memory --test model_check --test properties --test role_policy \
	    -- --skip simulate:: && $(CARGO) test --locked --doc; } 2>&1 | $(KEEP)

.PHONY: test-end-to-end
test-end-to-end:
	@echo "==== end to end: the program, the real API server, the local AWS"
	$(CARGO) test --locked --test end_to_end $(if $(END_TO_END),-- $(END_TO_END)) 2>&1 | $(KEEP)

.PHONY: test-simulation
test-simulation:
	@echo "==== $(HISTORIES) random histories"
	PGAI_SIMULATE_SEEDS=$(HISTORIES) $(CARGO) test --locked --test in_memory simulate:: 2>&1 | $(KEEP)

.PHONY: fault-table
fault-table: ## Print what becomes of every AWS call that meets every fault, and of whatever happens to Kubernetes
	@PGAI_EVERY_CELL=1 $(CARGO) test --locked --test in_memory -- faults:: repair::table > /dev/null
	@cat $(RESULTS)/fault-table.txt $(RESULTS)/repair-table.txt $(RESULTS)/kubernetes-fault-table-*.txt

.PHONY: crash-all
crash-all: ## Kill the operator at every call that it makes, reads too: it takes twenty minutes
	PGAI_EVERY_CELL=1 $(CARGO) test --locked --test end_to_end crash:: -- --ignored

.PHONY: test-clippy
test-clippy:
	@echo "==== clippy"
	$(CARGO) clippy --locked --all-targets --test bench_aws -- --deny warnings 2>&1 | $(KEEP)

.PHONY: test-deny
test-deny: $(DENY)
	@echo "==== licences, sources and bans of dependencies"
	$(DENY) --log-level error check bans licenses sources 2>&1 | $(KEEP)

.PHONY: advisories
advisories: $(DENY)
	@if GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote -q https://github.com/rustsec/advisory-db HEAD > /dev/null 2>&1; \
	then $(DENY) check advisories; \
	else echo "advisories: NOT checked, their database on github.com cannot be reached from here"; fi

.PHONY: results
results:
	@printf '\n==== what the runners said\n'
	@cd $(RESULTS) && grep --no-messages -E \
	  '^(ℹ|#) (tests|pass|fail) |^Ran [0-9]+ tests|^(OK|FAILED)|Running |^test result|^fault table:|^simulated:|^policies:|^Summary|^ *Finished|(bans|licenses|sources) (ok|FAILED)' \
	  test-*.log | sed -e 's/^test-\([a-z-]*\)\.log:/\1\t/' | expand -t 13
	@printf '\n==== nothing is lost: what was tried in this run (docs/reliability.md)\n'
	@cat $(RESULTS)/tried/* | awk -F '\t' ' \
	  BEGIN {printf "%-5s%-60s%-6s%s\n", "part", "what was tried", "lost", "how many"} \
	  {printf "%-5s%-60s%-6s%s\n", $$1, $$2, $$4, $$3; seen[$$1] = 1; lost += $$4} \
	  END {for (part = 1; part <= 6; part++) if (!(part in seen)) {print part "    told nothing"; lost++}; exit lost > 0}'
