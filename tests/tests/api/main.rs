//! The REST API against real Postgres, over HTTP.

mod commands;
mod delivery;
mod deployments;
mod fetches;
mod forecast;
mod hostnames;
mod imports;
mod isolation;
mod overrides;
mod pages;
mod problems;
mod progress;
mod settle;
mod tokens;
mod world;
mod writes;
