//! Proves names: preflight, probe, and the HTTP-01 responder.
