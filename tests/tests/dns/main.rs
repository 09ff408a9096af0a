//! What is looked for in DNS, against the fake fleet's servers and against real ones.

mod caa;
mod daemons;
mod propagation;
mod sanity;
mod world;
