# Two commands matter on a new machine: `make demo` and `make test`. Both install what is missing first.
SHELL := /bin/bash
SWIFT ?= swift

# All tests are Swift Testing; XCTest's empty run would only add a line, and two leaks of its own for the sanitizer.

# What swift-format looks at; a folder that a checkout lacks is left out.
FORMATTED := $(wildcard Sources Tests Benchmarks) Package.swift
# Interop needs libzmq, which is not built with sanitizers; it would only blur what they report.
UNSANITIZED := InteropTests

.PHONY: help setup demo test test-all models sanitize sanitize-address sanitize-thread bench docs lint format clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install missing system packages (Debian, Ubuntu) and check the Swift version
	@scripts/setup

demo: setup ## Messages between this library and a stock libzmq peer, on both backends
	$(SWIFT) run -c release demo

test: setup ## The tests, below 10 minutes on 2 cores
	$(SWIFT) build --build-tests
	scripts/docs check
	$(SWIFT) test --disable-xctest --skip-build
	PROACTOR_MEASURE_MEMORY=1 $(SWIFT) test --disable-xctest --skip-build --filter IdleMemoryTests

test-all: test sanitize models ## The full matrix: the tests, both sanitizers, the models

models: ## Explore the quick configurations of the wake protocols (installs spin)
	@scripts/setup spin gcc
	scripts/check-models

sanitize: sanitize-address sanitize-thread ## Everything but interop under the address and the thread sanitizer

sanitize-address: setup
	$(SWIFT) test --disable-xctest --sanitize=address --scratch-path .build-asan --skip $(UNSANITIZED)

# The first race ends the run: a race that only prints is a race that nobody reads.
sanitize-thread: setup
	TSAN_OPTIONS="halt_on_error=1 suppressions=$(CURDIR)/Tests/thread-sanitizer.suppressions $$TSAN_OPTIONS" \
	$(SWIFT) test --disable-xctest --sanitize=thread --scratch-path .build-tsan --skip $(UNSANITIZED)

bench: setup ## Compare with libzmq in the same run; writes Benchmarks/results (options in BENCH="--quick …")
	$(SWIFT) build -c release --package-path Benchmarks
	$(SWIFT) run -c release --package-path Benchmarks --skip-build bench $(BENCH)

docs: setup ## The documentation as pages, in .build/docs (docc, which comes with the toolchain)
	$(SWIFT) build
	scripts/docs build

lint: setup ## Formatting and the rules of the house
	$(SWIFT) format lint --strict -r $(FORMATTED)
	scripts/house-check

format: ## Format in place
	$(SWIFT) format -i -r $(FORMATTED)

clean: ## Remove everything that was built
	rm -rf .build .build-asan .build-tsan Benchmarks/.build
