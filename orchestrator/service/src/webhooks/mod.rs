//! Webhooks: events told to whoever wants them, by Standard Webhooks 1.0.0.
//!
//! ```text
//! every replica:  fan out ──▶ claim ──▶ message ──▶ sender ──▶ receiver
//!                    ▲          │                                  │
//!                 events     leases ◀────────── end ◀──────────────┘
//! ```
//!
//! All state is in the database, so any number of replicas share the work, and what one held when it died is sent again
//! when its lease ends: at least once. What is decided of an attempt is in `issuance::webhook`.

mod instruments;
mod message;
mod receiver;
mod secret;
mod sender;
mod worker;

pub use self::receiver::{Receiver, ReceiverError, Receivers};
pub use self::secret::{Secret, Vault};
pub use self::sender::{Sender, SenderSetUpError};
pub use self::worker::{Deliveries, DeliveryParts, DeliverySettings};
