# SPDX-License-Identifier: Apache-2.0
# The front door; `make help` lists it. meson and the scripts in tools/ do the work.

BUILD  ?= release
PLANT  ?=
LISTEN ?= 127.0.0.1:8080
STORE  ?= sqlite:build/demo.db
ONLY   ?=
DIR    ?=
MINUTES ?= 3
DAYS    ?= 1000
SEED   ?=
FUZZ_SECONDS = $(or $(SECONDS),60)

variant = $(if $(PLANT),plant-$(PLANT),$(BUILD))

.DEFAULT_GOAL := help
.PHONY: help run cluster build test bench bench-quick chaos sim check format fuzz deb clean
.PHONY: test-slow

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

run: ## install what is missing, build, serve the demo event (LISTEN=127.0.0.1:8080)
	@tools/setup
	@tools/build release
	@exec build/turnout serve --demo --auth off --listen $(LISTEN) --store $(STORE)

cluster: ## the whole of production on loopback, until Ctrl-C (DIR=.cluster)
	@tools/setup test
	@tools/build release
	@exec tools/cluster $(if $(DIR),--dir $(DIR))

build: ## build/turnout, optimised (BUILD=release|asan|tsan or PLANT=name for another variant)
	@tools/build $(variant)

test: ## everything there is to pass (ONLY=unit,asan,… for some of it)
	@tools/setup test
	@tools/test $(if $(ONLY),--only $(ONLY))

test-slow: ## providers on a real systemd and a real Docker engine, as root; not part of test
	@tools/setup slow
	@tools/test --only slow

check: ## the tree's own rules: layers, size, blocking calls, documentation, style
	@tools/check

format: ## mend what tools/check-style can mend by itself
	@tools/check-style --mend

bench: ## measure against peers in the same run (bench/results, docs/performance.md)
	@tools/setup bench
	@tools/build release
	@bench/run
	@tools/gen-performance-docs --draft

bench-quick: ## the same with less of everything; shows rows, keeps nothing
	@tools/setup bench
	@tools/build release
	@bench/run --quick

chaos: ## the cluster under load while everything fails (MINUTES=3, SEED=…)
	@tools/setup test
	@tools/build release turnout bench/loadgen
	@tests/chaos/chaos.py --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

sim: ## clusters on a virtual clock, a thousand days and more (DAYS=1000, SEED=… for one of them)
	@tools/setup test
	@tools/build release tests/simulation/simulation_tiered tests/simulation/simulation_cluster
	@$(if $(SEED),SEED=$(SEED)) DAYS=$(if $(SEED),1,$(DAYS)) build/tests/simulation/simulation_cluster
	@$(if $(SEED),SEED=$(SEED)) DAYS=$(if $(SEED),1,$(DAYS)) build/tests/simulation/simulation_tiered

fuzz: ## fuzz one target for a while (T=name, SECONDS=60)
	@tools/fuzz "$(T)" $(FUZZ_SECONDS)

deb: ## the Debian package, in build/ (see docs/operations.md)
	@tools/setup
	@tools/build release turnout
	@tools/deb

clean: ## remove what was built
	rm -rf build build-asan build-tsan build-fuzz build-plant-*
