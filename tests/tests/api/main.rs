//! The REST API against real Postgres, over HTTP.

mod audit;
mod commands;
mod crossing;
mod delivery;
mod deployments;
mod fence;
mod fetches;
mod forecast;
mod hostnames;
mod import_jobs;
mod imports;
mod isolation;
mod keys;
mod overrides;
mod pages;
mod problems;
mod progress;
mod routes;
mod settle;
mod tenancy;
mod throttle;
mod tokens;
mod transfers;
mod world;
mod writes;
