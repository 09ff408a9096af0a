//! Whether a check may keep names back: what it said, held against what the CA said later.
//!
//! A check that says *not ready* keeps the name from the CA, so mostly nobody learns whether it was right. It is
//! learnt where the CA is asked all the same: for a name whose owner had the check skipped, for a drawn share of those
//! that are not ready, and for everybody while the check is only advice. What is judged is the share of false alarms
//! among those: a bound of it, so that neither a bad day nor a few lucky ones decide.

use serde::{Deserialize, Serialize};

/// A check that is wrong about more of those that it would keep back costs its tenants more than it saves at the CA.
const FALSE_ALARMS_MAX: f64 = 0.2;
/// Fewer prove nothing, whatever the arithmetic says.
const FALSE_ALARMS_MIN: u32 = 3;
/// 95 % of the normal distribution, one-sided.
const Z: f64 = 1.644_853_6;

/// What a check is worth at one CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// A name that fails it is not ordered.
    Blocks,
    /// It is looked at and told, and keeps nobody back.
    Advice,
}

impl Standing {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::Advice => "advice",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Blocks, Self::Advice].into_iter().find(|one| one.as_str() == text)
    }
}

/// What became, since its standing last changed, of the names that it said were not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Alarms {
    /// The CA said *valid*: a false alarm.
    pub wrong: u32,
    /// The CA said *invalid*.
    pub right: u32,
}

impl Alarms {
    /// The standing that follows. Evidence demotes where the share of false alarms is too high even at its lower bound,
    /// and promotes where it is low enough even at its upper one; in between everything stays as it is.
    pub fn judge(self, standing: Standing) -> Standing {
        let (lower, upper) = self.bounds();
        match standing {
            Standing::Blocks if self.wrong >= FALSE_ALARMS_MIN && lower > FALSE_ALARMS_MAX => {
                Standing::Advice
            }
            Standing::Advice if upper < FALSE_ALARMS_MAX => Standing::Blocks,
            unchanged => unchanged,
        }
    }

    /// The Wilson interval of the share of false alarms.
    fn bounds(self) -> (f64, f64) {
        let all = f64::from(self.wrong) + f64::from(self.right);
        if all == 0.0 {
            return (0.0, 1.0);
        }
        let share = f64::from(self.wrong) / all;
        let centre = share + Z * Z / (2.0 * all);
        let spread = Z * (share * (1.0 - share) / all + Z * Z / (4.0 * all * all)).sqrt();
        let whole = 1.0 + Z * Z / all;
        ((centre - spread) / whole, (centre + spread) / whole)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn alarms(wrong: u32, right: u32) -> Alarms {
        Alarms { wrong, right }
    }

    #[test]
    fn a_check_that_is_mostly_wrong_becomes_advice() {
        assert_eq!(alarms(3, 0).judge(Standing::Blocks), Standing::Advice);
        assert_eq!(alarms(6, 6).judge(Standing::Blocks), Standing::Advice);
        assert_eq!(alarms(2, 0).judge(Standing::Blocks), Standing::Blocks);
        assert_eq!(alarms(3, 12).judge(Standing::Blocks), Standing::Blocks);
        assert_eq!(alarms(0, 0).judge(Standing::Blocks), Standing::Blocks);
    }

    #[test]
    fn advice_that_proves_right_blocks_again() {
        assert_eq!(alarms(0, 5).judge(Standing::Advice), Standing::Advice);
        assert_eq!(alarms(0, 12).judge(Standing::Advice), Standing::Blocks);
        assert_eq!(alarms(5, 12).judge(Standing::Advice), Standing::Advice);
    }

    proptest! {
        /// The same evidence never turns a check to and fro.
        #[test]
        fn a_judgement_is_final_until_there_is_more(wrong in 0_u32..500, right in 0_u32..500, advice: bool) {
            let before = if advice { Standing::Advice } else { Standing::Blocks };
            let after = alarms(wrong, right).judge(before);
            prop_assert_eq!(alarms(wrong, right).judge(after), after);
        }

        #[test]
        fn more_right_alarms_never_demote(wrong in 0_u32..200, right in 0_u32..200, more in 0_u32..200) {
            if alarms(wrong, right).judge(Standing::Blocks) == Standing::Blocks {
                prop_assert_eq!(alarms(wrong, right + more).judge(Standing::Blocks), Standing::Blocks);
            }
        }
    }
}
