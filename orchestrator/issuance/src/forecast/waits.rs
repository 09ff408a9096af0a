//! What each order has waited for, without a look at each order at each moment.

use std::collections::HashMap;
use std::time::Duration;

use super::constraint::Constraint;
use crate::time::Timestamp;

/// Microseconds by [`Constraint`].
type Times = [u64; Constraint::ALL.len()];

/// Whoever stands in line waits for the same things as everybody else of its kind, so one sum for each kind tells all of
/// them apart by when they joined.
#[derive(Debug, Clone, Default)]
pub(super) struct Waits {
    /// Of those whom the account's limit counts, and of those whom it does not, since the beginning.
    in_line: [Times; 2],
    /// Those who had to leave the line: the sums when they came back, and what they had waited until then.
    came_back: HashMap<u32, (Times, Times)>,
}

impl Waits {
    /// All in line waited from `from` to `to`: the counted ones for `counted`, the exempt ones for `exempt`.
    pub(super) fn pass(&mut self, from: Timestamp, to: Timestamp, counted: Constraint, exempt: Constraint) {
        let micros = from.until(to).as_micros() as u64;
        self.in_line[0][counted as usize] += micros;
        self.in_line[1][exempt as usize] += micros;
    }

    /// An order left the line for `wait`, and lines up again after it.
    pub(super) fn leave(&mut self, order: u32, exempt: bool, wait: Duration, constraint: Constraint) {
        let mut waited = self.of(order, exempt);
        waited[constraint as usize] += wait.as_micros() as u64;
        self.came_back.insert(order, ([0; Constraint::ALL.len()], waited));
    }

    pub(super) fn rejoin(&mut self, order: u32, exempt: bool) {
        let now = self.in_line[usize::from(exempt)];
        if let Some((joined, _)) = self.came_back.get_mut(&order) {
            *joined = now;
        }
    }

    /// What an order in line has waited for longest; `None` if it has not waited.
    pub(super) fn longest(&self, order: u32, exempt: bool) -> Option<Constraint> {
        let waited = self.of(order, exempt);
        let longest = Constraint::ALL.into_iter().max_by_key(|constraint| waited[*constraint as usize])?;
        (waited[longest as usize] > 0).then_some(longest)
    }

    fn of(&self, order: u32, exempt: bool) -> Times {
        let mut waited = self.in_line[usize::from(exempt)];
        if let Some((joined, before)) = self.came_back.get(&order) {
            for (place, time) in waited.iter_mut().enumerate() {
                *time = *time - joined[place] + before[place];
            }
        }
        waited
    }
}
