//! The objects a CA shows, read tolerantly: unknown members are ignored, unknown words kept.

mod account;
mod authorization;
mod order;
mod wire;

pub use account::{AccountObject, AccountStatus};
pub use authorization::{
    AuthorizationObject, AuthorizationStatus, Challenge, ChallengeKind, ChallengeStatus,
};
pub use order::{Identifier, OrderObject, OrderStatus};
