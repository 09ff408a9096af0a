# make demo    everything on loopback, in front of your eyes     make test     everything a change must pass
# make bench   ratios, and what clients leave                    make audit    licences, bans, sources
# make fmt     formats                                           make prepare  writes .sqlx/ anew
# make deb     the Debian package, in target/debian
# make openapi writes deploy/openapi.json anew
# make api-fuzz  ten thousand requests that schemathesis makes of the API's description, and as many with one tenant's key
# make matrix  everything that can go wrong, at every place where it can: all cells, of which make test plays a third
# make soak    certifies fleets while everything is killed, stopped and cut at random

# The queries are checked against .sqlx/, so building needs no database.
export SQLX_OFFLINE = true

# The demo's: ONCE=1 ends when all is done, DOMAINS=N names, CA=rehearsal|pebble, SEED=N.
export ONCE DOMAINS CA SEED
# The soak's: it ends after KILLS=N or MINUTES=N, whichever is first; SITES=N in a fleet, SEED=N, PAUSE_MS=N between
# two faults.
export KILLS MINUTES SITES PAUSE_MS

# MATRIX=all plays every cell. SEED draws the worlds, and which third of the cells make test plays.
MATRIX ?= fast

# Requests that schemathesis sends, twice.
export FUZZ_REQUESTS

.PHONY: demo test bench deb matrix soak api-fuzz audit fmt prepare openapi

demo:
	@.ci/setup postgresql $(if $(filter pebble,$(CA)),pebble)
	@cargo build --release --quiet --package lockkeeper
	@$${CARGO_TARGET_DIR:-target}/release/lockkeeper demo

# The summary of the tests comes last.
test:
	@.ci/setup postgresql pebble certbot lego prometheus nginx apache2 haproxy caddy bind9 bind9-dnsutils \
		openssl pdns-server pdns-backend-lmdb systemd php-cli php-curl perl schemathesis \
		chromium playwright nextest
	cargo fmt --all --check
	.ci/with-postgres .ci/prepare --check
	promtool check rules dashboards/alerts.yml dashboards/recording.yml && promtool test rules dashboards/*.test.yml
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	cargo clippy --package lockkeeper --quiet -- -D warnings    # as it is shipped: without what tests need of it
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --quiet
	MATRIX=$(MATRIX) .ci/with-postgres cargo nextest run --workspace --profile ci --cargo-quiet

# A line for each cell comes last; a red one tells how to play it again.
matrix:
	@.ci/setup postgresql pebble nextest
	MATRIX=all .ci/with-postgres cargo nextest run --workspace --profile ci --cargo-quiet -E 'binary(matrix)' --success-output final

bench:
	@.ci/setup postgresql pebble certbot lego nginx wrk
	@cargo build --release --quiet --package lockkeeper
	@cargo bench --quiet --package lockkeeper-benches

deb:
	@LOCKKEEPER_COMMIT=$$(git rev-parse --short HEAD) cargo build --release --quiet --package lockkeeper
	@deploy/build-deb $${CARGO_TARGET_DIR:-target}/release/lockkeeper $${CARGO_TARGET_DIR:-target}/debian

# The verdict is the last line, as JSON. The program of the soak finds the service beside it: the one that is shipped,
# which is built by itself because the tests' has points for faults in it.
soak:
	@.ci/setup postgresql
	@cargo build --release --quiet --package lockkeeper-tests --bin soak
	@cargo build --release --quiet --package lockkeeper
	@$${CARGO_TARGET_DIR:-target}/release/soak

# What was found and how much was sent is printed; a fifth more is asked for than is wanted, since some operations have less
# to vary.
api-fuzz:
	@.ci/setup postgresql schemathesis nextest
	FUZZ_REQUESTS=$(or $(FUZZ_REQUESTS),12000) .ci/with-postgres cargo nextest run --workspace --profile fuzz --cargo-quiet --test api \
		-E 'binary(api) & test(/^fuzz::/)' --no-capture

audit:
	@.ci/setup deny
	cargo deny --all-features check licenses bans sources

fmt:
	cargo fmt --all

prepare:
	@.ci/setup postgresql
	.ci/with-postgres .ci/prepare

openapi:
	@.ci/setup postgresql nextest
	RENEW=1 .ci/with-postgres cargo nextest run --workspace --profile fuzz --cargo-quiet --test api \
		-E 'binary(api) & test(the_description_is_the_one_that_is_kept)'
