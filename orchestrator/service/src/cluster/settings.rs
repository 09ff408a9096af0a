//! How the private cluster is set up.

use std::fmt::Write;

/// Setting, value, and why it is not PostgreSQL's default.
const SETTINGS: &[(&str, &str, &str)] = &[
    ("listen_addresses", "''", "the Unix socket is the only way in"),
    ("unix_socket_permissions", "0700", "the folder says the same; twice is cheap"),
    ("max_connections", "200", "several replicas of the service with their pools on one machine"),
    ("superuser_reserved_connections", "3", "room to look when the pools have taken all"),
    ("fsync", "on", "the ledger must survive a power cut"),
    ("full_page_writes", "on", "as above"),
    ("shared_buffers", "'256MB'", "the hot part of a million names fits; small enough for a shared machine"),
    ("max_wal_size", "'4GB'", "a checkpoint in the middle of an import doubles what is written"),
    ("checkpoint_timeout", "'15min'", "as above"),
    ("wal_compression", "on", "full-page images are most of the log, and compress well"),
    (
        "idle_in_transaction_session_timeout",
        "'15s'",
        "a forgotten transaction makes every claim scan dead rows",
    ),
    ("jit", "off", "short statements would wait for the compiler"),
    ("timezone", "'UTC'", "logs and instants agree on every machine"),
    ("log_timezone", "'UTC'", "as above"),
    ("log_line_prefix", "'%m [%p] %q%a '", "instant, process, application"),
    ("log_checkpoints", "off", "one line a quarter of an hour says nothing"),
];

/// The text of `postgresql.conf`.
pub(super) fn conf() -> String {
    let mut conf = String::from(
        "# Written by lockkeeper at each start. Settings of your own go into local.conf beside this file.\n",
    );
    for (setting, value, why) in SETTINGS {
        writeln!(conf, "{setting} = {value}  # {why}").expect("a string takes whatever is written to it");
    }
    conf.push_str("include_if_exists = 'local.conf'\n");
    conf
}
