//! Draws, for jitter: what fell together must not all come back together.

use issuance::time::Fraction;

/// From 0 up to 1, each as likely.
pub(crate) fn draw() -> Fraction {
    Fraction::new(rand::random::<f64>())
}
