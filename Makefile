# Thin recipes: what is behind them is in the crates. `make` alone lists them.

CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help test format lint docs audit generate

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

test: format lint docs audit ## Everything that must hold before a change is merged
	rm -rf target/testbed
	$(CARGO) test --locked --workspace

format: ## Check the formatting
	$(CARGO) fmt --all --check

lint: ## Check with clippy; warnings fail
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

docs: ## Check that the documentation builds without a warning
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --quiet

audit: ## Check dependencies for vulnerabilities, if cargo-deny is installed
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --workspace check; \
	else echo "cargo-deny is not installed: licences and bans are still checked by the tests, advisories are not"; fi

generate: ## Rewrite the generated files
	UPDATE=1 $(CARGO) test --locked --test it generated
