pub mod answer;
mod fleet;
pub mod forecast;
pub(super) mod read;

pub use fleet::Fleet;
