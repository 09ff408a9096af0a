//! What was expected against what was found.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::topology::{Cause, Class, Topology};

/// One topology, judged.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) class: Class,
    what: &'static str,
    name: &'static str,
    expected: Option<Cause>,
    found: Option<Cause>,
    told: String,
}

impl Outcome {
    pub(crate) fn new(topology: &Topology, found: Option<Cause>, told: String) -> Self {
        let Topology { class, what, name, cause, .. } = topology;
        Self { class: *class, what, name, expected: *cause, found, told }
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.expected.is_some()
    }

    fn is_right(&self) -> bool {
        self.expected == self.found
    }

    pub(crate) fn is_false_alarm(&self) -> bool {
        !self.is_broken() && self.found.is_some()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Confusion(pub(crate) Vec<Outcome>);

impl Confusion {
    /// The share of broken topologies whose top cause is right.
    pub(crate) fn share_right(&self) -> f64 {
        let (right, broken) = self.counts(|outcome| outcome.is_broken());
        f64::from(right) / f64::from(broken)
    }

    /// How many of those are right, and how many there are.
    fn counts(&self, of: impl Fn(&&Outcome) -> bool) -> (u32, u32) {
        let mut counts = (0, 0);
        for outcome in self.0.iter().filter(of) {
            counts.0 += u32::from(outcome.is_right());
            counts.1 += 1;
        }
        counts
    }

    pub(crate) fn table(&self) -> String {
        let word =
            |cause: Option<Cause>| cause.map_or_else(|| "passes".to_owned(), |cause| cause.to_string());
        let mut rows: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
        for outcome in &self.0 {
            *rows.entry(word(outcome.expected)).or_default().entry(word(outcome.found)).or_default() += 1;
        }
        let mut text = format!("\n{:<32} {:>5}  found\n", "expected", "");
        for (expected, found) in &rows {
            for (found, count) in found {
                let mark = if expected == found { "" } else { "  <- wrong" };
                writeln!(text, "{expected:<32} {count:>5}  {found}{mark}").expect("a string");
            }
        }
        writeln!(text, "\n{:<32} {:>5} {:>7} {:>7}", "class", "right", "broken", "share").expect("a string");
        let mut line = |name: &str, (right, all): (u32, u32)| {
            let share = f64::from(right) / f64::from(all.max(1));
            writeln!(text, "{name:<32} {right:>5} {all:>7} {:>6.1}%", share * 100.0).expect("a string");
        };
        for class in Class::ALL {
            line(&class.to_string(), self.counts(|outcome| outcome.is_broken() && outcome.class == class));
        }
        line("all", self.counts(|outcome| outcome.is_broken()));
        let odd = self.0.iter().filter(|outcome| !outcome.is_broken()).count();
        let alarms = self.0.iter().filter(|outcome| outcome.is_false_alarm()).count();
        writeln!(text, "{alarms} false alarms among {odd} that look odd and pass").expect("a string");
        for outcome in self.0.iter().filter(|outcome| !outcome.is_right()) {
            writeln!(
                text,
                "wrong: {} ({}, {}): expected {}, found {}: {}",
                outcome.name,
                outcome.class,
                outcome.what,
                word(outcome.expected),
                word(outcome.found),
                outcome.told
            )
            .expect("a string");
        }
        text
    }
}
