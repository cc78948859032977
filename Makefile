# Thin recipes: what is behind them is in the crates. `make` alone lists them.

CARGO ?= cargo
# More arguments for the demo: --once, --kubeconfig FILE, --pace N.
DEMO_ARGS ?=
# What the benchmark measures: all that is aimed at, or --mailboxes N,N…, --tenants N, --repeat N,
# --scenario cold|restart|twins|writes|apply|receiver|quotas|sick|takeover|steady.
BENCH_ARGS ?= --aims
# What `make simulate` plays: how many courses, of how many days, with how many mailboxes; SEED plays one of them, aloud;
# COURSE=storms|calm|steady is what happens meanwhile, MUTANT=renews-nothing makes that mistake.
SEEDS ?= 10
DAYS ?= 30
MAILBOXES ?= 30
# How long `make fuzz` tries each parser.
SECONDS ?= 60
# Most tests wait for a cluster or for Graph, so that more of them than there are cores go side by side.
export RUST_TEST_THREADS ?= 6

# Tests and programs are built with the same features, and what measures is built at once, so that nothing is compiled twice.
PROGRAMS := $(CARGO) build --locked --workspace --bins
MEASURES := $(CARGO) build --locked --release --package bench --package simulation
BUILT := $${CARGO_TARGET_DIR:-target}

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz simulate simulate-mistakes bench image image-arm64 image-files image-twice test-chart packages format lint docs site pictures audit clients generate control-plane faults

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## Watch tenants and mailboxes live on a real API server (DEMO_ARGS="--once", "--kubeconfig FILE")
	$(PROGRAMS)
	$(BUILT)/debug/demo $(DEMO_ARGS)

# The images are compiled in a folder of their own, beside all that waits for each other in this one.
test: ## Everything that must hold before a change is merged
	$(MAKE) --no-print-directory --jobs=2 image-files packages format lint docs site audit clients
	rm -rf $(BUILT)/testbed
	$(BUILT)/debug/demo --once
	$(CARGO) test --locked --workspace
	$(CARGO) test --locked --workspace --test it -- --ignored --exact secrecy::no_secret_token_or_address_was_said

test-chart: ## Try every behaviour on operators that the chart installed; some minutes
	$(PROGRAMS)
	HYBRID_CALENDAR_TESTS_INSTALL=chart $(CARGO) test --locked --test it behaviour::

faults: ## Break processes, networks, disks, certificates and clocks around the operator, with hundreds of mailboxes; some minutes
	$(PROGRAMS)
	HYBRID_CALENDAR_FAULTS=1 $(CARGO) test --locked --test it faults:: -- --include-ignored --nocapture

fuzz: ## Feed everything that reads bytes from outside with broken ones, SECONDS=60 each; finds stay in tests/fuzz/corpus
	HYBRID_CALENDAR_FUZZ_SECONDS=$(SECONDS) RUST_TEST_THREADS=$$(nproc) \
	    $(CARGO) test --locked --workspace --lib --no-fail-fast -- --nocapture fuzz::

simulate: ## Play months of the whole operator while everything goes wrong (SEEDS=100 DAYS=30 MAILBOXES=30; SEED=7 tells that one)
	$(MEASURES)
	$(BUILT)/release/simulate $(if $(SEED),--seed $(SEED),--seeds $(SEEDS)) $(if $(HOURS),--hours $(HOURS),--days $(DAYS)) --mailboxes $(MAILBOXES) $(if $(COURSE),--course $(COURSE)) $(if $(MUTANT),--mutant $(MUTANT))

simulate-mistakes: ## See the simulation find each deliberate mistake
	$(MEASURES)
	$(BUILT)/release/simulate --mistakes --seeds 3 --hours 8 --mailboxes 12

bench: ## Measure all that is aimed at, next to a floor and to twins in other frameworks (an hour; BENCH_ARGS="--scenario cold --mailboxes 10000 --tenants 50" a part)
	$(MEASURES)
	operator=$$(config/image/here hybrid-calendar-operator) && emulator=$$(config/image/here graph-emulator) && \
	HYBRID_CALENDAR_OPERATOR_BIN=$$operator/usr/bin/hybrid-calendar-operator \
	GRAPH_EMULATOR_BIN=$$emulator/usr/bin/graph-emulator \
	    $(BUILT)/release/bench --markdown $(BUILT)/bench.md $(BENCH_ARGS)

packages: ## Get the programs that the tests need from Debian's packages, or name them
	@tests/packages/install >/dev/null

format: ## Check the formatting
	$(CARGO) fmt --all --check

lint: ## Check with clippy; warnings fail
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

docs: ## Check that the documentation builds without a warning
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --locked --workspace --no-deps --document-private-items --quiet

site: ## Build the documentation as a site with search, in target/site (mdBook is built once)
	tests/site/build $(BUILT)/site

pictures: ## Draw the pictures of the documentation anew, from what the demo really says
	$(PROGRAMS)
	python3 tests/pictures/draw.py $(BUILT)/debug/demo "$$(tests/packages/install prometheus)" docs/pictures

audit: ## Check dependencies for vulnerabilities, if cargo-deny is installed
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --workspace check; \
	else echo "cargo-deny is not installed: licences and bans are still checked by the tests, advisories are not"; fi

clients: ## Try Microsoft's own client libraries against the emulator
	$(PROGRAMS)
	tests/clients/run $(BUILT)/debug/graph-emulator

image: ## Build both container images for this machine's architecture into target/images
	rm -rf $(BUILT)/images && mkdir -p $(BUILT)/images
	config/image/pack operator $(BUILT)/images/operator
	config/image/pack graph-emulator $(BUILT)/images/graph-emulator
	@du -sh $(BUILT)/images/*

image-arm64: ## Build both images for arm64 on amd64 with Debian's cross compiler, and start them with qemu (a quarter of an hour)
	rm -rf $(BUILT)/images-arm64 && mkdir -p $(BUILT)/images-arm64
	tests/packages/arm64 config/image/pack operator $(BUILT)/images-arm64/operator arm64
	tests/packages/arm64 config/image/pack graph-emulator $(BUILT)/images-arm64/graph-emulator arm64
	$(CARGO) test --locked --workspace --test it -- --ignored packaging::image::arm64

image-files: ## Compile what goes into the images; kept outside of this folder, for the next clone
	@config/image/here hybrid-calendar-operator >/dev/null
	@config/image/here graph-emulator >/dev/null

image-twice: ## Compile what goes into the operator's image again, elsewhere and from nothing, and compare (some minutes)
	again=$$(mktemp -d) && trap 'rm -rf "$$again"' EXIT && \
	diff -r "$$(config/image/here hybrid-calendar-operator)" \
	    "$$(HYBRID_CALENDAR_IMAGE_CACHE=$$again config/image/here hybrid-calendar-operator)" && echo "byte by byte the same"

# One after the other: some are made from others.
generate: ## Rewrite the generated files
	UPDATE=1 $(CARGO) test --locked --test it generated -- --test-threads=1

control-plane: ## Build kube-apiserver, its controllers, etcd, kubectl, helm and kubeconform, once; tests and the demo do it when needed
	$(PROGRAMS)
	$(BUILT)/debug/demo --prepare
