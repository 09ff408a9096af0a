//! What an operator has around the service: numbers, alerts, packages.

mod census;
mod images;
mod package;
mod prometheus;
mod restore;
mod scrape;
mod settlings;
mod traces;
mod units;
