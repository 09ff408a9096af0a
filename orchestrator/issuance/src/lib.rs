//! Decides: the pure core of Lockkeeper.
//!
//! Nothing in here waits, opens a socket, reads a clock or draws a random number. What happens next is a
//! function of what is known, the instant and a draw, all passed in; the service performs the steps this
//! crate names and hands the answers back.

pub mod admission;
pub mod allowance;
pub mod answer;
pub mod authorization;
pub mod backoff;
pub mod caa;
pub mod campaign;
pub mod check;
pub mod demand;
pub mod deployment;
pub mod drift;
pub mod event;
pub mod evidence;
pub mod exemption;
pub mod fairness;
pub mod fault;
pub mod forecast;
pub mod gcra;
pub mod hexadecimal;
pub mod homograph;
pub mod identifier;
pub mod ids;
pub mod key_kind;
pub mod lesson;
pub mod limit;
pub mod mirror;
pub mod order;
pub mod outlook;
pub mod persistence;
pub mod precision;
pub mod problem;
pub mod profile;
pub mod propagation;
pub mod renewal;
pub mod selector;
pub mod settle;
pub mod settling;
pub mod step;
pub mod time;
pub mod transition;
pub mod waiting;
pub mod webhook;
