# Thin on purpose: each target is a script in scripts/ that says what it does and can be run on its own.
.DEFAULT_GOAL := help
.PHONY: help setup build run test test-kernels test-long cluster cluster-down bench bench-live lint fmt crds

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-13s %s\n", $$1, $$2 }'

setup: ## install what building, testing and linting need (quick when nothing is missing)
	@scripts/setup.sh all

build: ## eyas-agent, eyas-operator, kubectl-eyas, static, in target/release/
	@scripts/setup.sh build
	@scripts/build.sh

run: ## watch this machine with the default rules (ARGS="-o json" and so on)
	@scripts/run.sh $(ARGS)

test: ## every test, down to real pods on the live kernel
	@scripts/test.sh $(ARGS)

test-kernels: ## every hook and default rule on this kernel, and on 6.1 and 6.12 in QEMU (ARGS="host 6.1"; "--short 6.1" is quicker)
	@scripts/test-kernels.sh $(ARGS)

test-long: ## minutes of fuzzing, a million cases of plan against plain evaluation, floods of the release agent (FUZZ_SECONDS, EYAS_CASES)
	@scripts/test-long.sh

cluster: ## a cluster on this machine with Eyas in it; with KUBECONFIG set, Eyas into that cluster
	@scripts/cluster.sh

cluster-down: ## remove what `make cluster` made
	@e2e/cluster/down.sh

bench: ## measure, and compare with what is aimed at
	@scripts/bench.sh $(ARGS)

bench-live: ## on the live kernel alone: single calls in pairs, a storm, reloads under load (ARGS="--rounds 9")
	@scripts/bench.sh --live $(ARGS)

lint: ## format, clippy, licences, generated files, shell
	@scripts/lint.sh

fmt: ## format the Rust code
	@cargo fmt --all

crds: ## write manifests/crds anew from the Rust types
	@cargo run -q -p eyas-crds --bin crdgen
