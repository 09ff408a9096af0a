//! The dashboard as a person meets it: in Debian's Chromium, by mouse and keyboard, against a service with a real
//! database and a real CA.
//!
//! The flows stand in `tests/browser/*.mjs`; what they ask of the world (a row, the CA's own record) is answered here.

mod fleet;
mod flows;
mod run;
mod stage;
