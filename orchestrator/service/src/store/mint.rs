//! New ids.

use std::sync::Mutex;

use issuance::time::Timestamp;
use sqlx::types::Uuid;
use uuid::timestamp::context::ContextV7;

/// Makes UUIDs of version 7 from one instant, in ascending order: rows written together keep their order.
///
/// The instant is the injected clock's, never the machine's, so a driven clock rules the ids as well.
#[derive(Debug)]
pub(super) struct Mint {
    now: Timestamp,
    context: Mutex<ContextV7>,
}

impl Mint {
    pub(super) fn at(now: Timestamp) -> Self {
        Self { now, context: Mutex::new(ContextV7::new()) }
    }

    /// The lowest id that can have been made at `instant`: all made earlier are lower.
    pub(super) fn floor(instant: Timestamp) -> Uuid {
        let millis = u64::try_from(instant.unix_micros() / 1_000).unwrap_or(0);
        Uuid::from_u128(u128::from(millis) << 80)
    }

    pub(super) fn uuid(&self) -> Uuid {
        let micros = u64::try_from(self.now.unix_micros()).unwrap_or(0);
        let nanos = u32::try_from(micros % 1_000_000).unwrap_or(0) * 1_000;
        Uuid::new_v7(uuid::Timestamp::from_unix(&self.context, micros / 1_000_000, nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_instant_ascend_and_carry_it() {
        let mint = Mint::at(Timestamp::from_unix_micros(1_795_255_445_250_000));
        let ids: Vec<Uuid> = (0..10_000).map(|_| mint.uuid()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        let carried = ids[0].get_timestamp().expect("version 7 carries its instant").to_unix();
        assert_eq!(carried, (1_795_255_445, 250_000_000));
        let instant = Timestamp::from_unix_micros(1_795_255_445_250_000);
        assert!(Mint::floor(instant) <= ids[0]);
        assert!(Mint::floor(instant.after(std::time::Duration::from_millis(1))) > ids[9_999]);
    }
}
