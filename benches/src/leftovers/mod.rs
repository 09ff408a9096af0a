//! Accidents of ACME clients, and what the CA's books say afterwards.

pub mod accident;
pub mod cell;
pub mod client;
pub mod manners;
pub mod run;
pub mod table;

mod one_shot;
mod scene;
mod service;
mod signal;
mod webroot;
