# Each target is a line or two that call the real tool. `make` alone lists them.
.DEFAULT_GOAL := help
CARGO ?= cargo

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: run
run: ## Build the server and serve on the embedded store
	$(CARGO) run --release --locked -- serve

.PHONY: check
check: ## The everyday loop: formatting, lints, unit and model tests
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) test --workspace --lib --bins --locked

.PHONY: test
test: deps check doc deny ## Install what the tests need, then run everything
	$(CARGO) test --workspace --locked --test '*'
	$(CARGO) test --workspace --doc --locked
	$(MAKE) schemathesis
	$(MAKE) verifiers
	$(MAKE) browser

.PHONY: schemathesis
schemathesis: deps ## Attack a server by its own description (schemathesis, in an environment under target/)
	$(CARGO) build --locked
	python3 tests/schemathesis/run.py

.PHONY: verifiers
verifiers: deps ## Compare with other software: PyJWT, jose (the guide's code for API servers), passlib, Django, PHP, under target/
	$(CARGO) build --locked -p relatch -p relatch-testkit --bin relatch --bin passwords
	python3 tests/verifiers/run.py
	python3 tests/verifiers/rolling.py
	python3 tests/verifiers/passwords.py
	python3 tests/verifiers/imports.py

.PHONY: browser
browser: deps ## Look at cookies and the example page in a real Chromium
	$(CARGO) build --locked --bin relatch
	npm --prefix tests/browser ci --no-audit --no-fund
	npm --prefix tests/browser test

FUZZ_SECONDS ?= 300
.PHONY: fuzz
fuzz: deps ## Fuzz every parser, 65 minutes in all (FUZZ_SECONDS for each but the last, which gets six times as much)
	command -v cargo-fuzz >/dev/null || $(CARGO) install --locked cargo-fuzz
	fuzz/run.sh $(FUZZ_SECONDS)

.PHONY: nightly
nightly: fuzz fault ## What takes too long for every change: 65 minutes of fuzzing, and every fault for some time

.PHONY: doc
doc: ## Build the documentation of the code, broken links denied
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

.PHONY: deps
deps: ## Install what the tests need (Debian): redis-server, openssl, python3-venv, chromium, Node
	bash tests/deps.sh

.PHONY: deny
deny: ## Check licences and sources of all dependencies
	command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --workspace check licenses bans sources

.PHONY: fault
fault: deps ## Play every fault on real processes for some time, and print what clients saw
	$(CARGO) build --release --locked -p relatch -p relatch-testkit --bins
	target/release/fault

.PHONY: bench
bench: deps ## Measure refreshes beside the floor, with 32 and with 128 connections
	python3 bench/run.py --half-load
	python3 bench/run.py --half-load --no-build --connections 128

.PHONY: bench-cluster
bench-cluster: deps ## Measure three nodes on a Cluster of six beside one node on one Redis
	python3 bench/cluster.py

.PHONY: bench-flood
bench-flood: deps ## Measure what refreshes notice of a flood of sign-ins
	python3 bench/flood.py

.PHONY: bench-share
bench-share: deps ## Measure who gets in beside somebody who asks for much
	python3 bench/share.py

.PHONY: bench-notice
bench-notice: deps ## Measure what others notice of one caller who asks for much
	python3 bench/notice.py

.PHONY: bench-enumeration
bench-enumeration: deps ## Measure whether time tells which accounts exist
	python3 bench/enumeration.py
