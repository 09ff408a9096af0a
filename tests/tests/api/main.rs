//! The REST API against real Postgres, over HTTP.

mod commands;
mod fetches;
mod forecast;
mod hostnames;
mod import_jobs;
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
