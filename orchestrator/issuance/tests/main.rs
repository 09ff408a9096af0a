//! The promises of the core: the transition table, a world that plays it a thousand ways, and its laws.

mod laws;
mod table;
mod world;
