//! When it will be done, and what it waits for.
//!
//! A forecast plays the queue through: the same buckets, the same exemptions, the same fairness between lanes and
//! tenants as at the gate, from event to event. What is not known (which sites are broken, how long an order takes, who
//! comes first of equals) is drawn from a seed, many times, and told as the median and the ninetieth percentile. What a
//! limit costs is the same play without it; what to ask the CA for is the smallest override with which the play ends in
//! time.

mod books;
mod chance;
mod constraint;
mod proposal;
mod question;
mod run;
mod spread;
#[cfg(test)]
mod tests;
mod waits;

use std::time::Duration;

use books::Books;
use chance::Chance;
pub use constraint::Constraint;
pub use proposal::{Ask, Proposal, Target};
pub use question::{Ahead, Capacity, Expectations, Question, Readiness, Site};
use run::{Issue, Trial, run};
use spread::Draws;
pub use spread::Spread;

use crate::exemption::Exemption;
use crate::time::Timestamp;

/// Plays of all orders together, about; the more orders, the fewer draws, and the less they differ.
const PLAYS: usize = 4_000_000;
const DRAWS_MIN: usize = 5;
const DRAWS_MAX: usize = 101;

/// What the question comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Of all sites; where none were asked about, of all that is ahead. `None`: none of them ever finishes.
    pub finish: Option<Spread>,
    /// In the order in which they were asked about.
    pub sites: Vec<SiteForecast>,
    /// When the last order of each tenant, of those ahead and of the sites, is done; in the order of the question.
    pub tenants: Vec<Option<Spread>>,
    /// What makes orders wait, the dearest first.
    pub bindings: Vec<Binding>,
    /// One for each target, and one for what we could do if no limit that can be raised held us up.
    pub proposals: Vec<Proposal>,
    /// Ways in which it may come that were played.
    pub draws: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiteForecast {
    /// By what the CA does not count it now.
    pub exemption: Option<Exemption>,
    /// What it waits for longest; `None` if for nothing.
    pub binding: Option<Constraint>,
    /// Of all of its names, unless some are broken. `None`: they are, or an order of that size never finds room.
    pub finish: Option<Spread>,
}

/// Something that makes orders wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    pub constraint: Constraint,
    /// Of those asked about, the ones that wait for it longer than for anything else.
    pub orders: u64,
    /// How much sooner all would be done without it.
    pub costs: Duration,
}

/// Answers; about a second for each million orders and ten draws.
pub fn forecast(question: &Question<'_>) -> Forecast {
    let books = Books::open(*question);
    let played = Played::all(&books);
    let typical = Typical::of(&books, played.typical_draw());
    let finish = played.finish.spread(0);
    Forecast {
        finish,
        sites: (0..question.sites.len())
            .map(|site| SiteForecast {
                exemption: question.sites[site].exemptions.at(question.now),
                binding: typical.binding[books.ahead + site],
                finish: played.sites.spread(site).map(|spread| spread.no_later_than(finish)),
            })
            .collect(),
        tenants: (0..books.tenants).map(|tenant| played.tenants.spread(tenant)).collect(),
        bindings: typical.bindings(),
        proposals: proposal::proposals(&typical),
        draws: played.draws,
    }
}

/// When all is done, and nothing else: for whoever compares.
pub fn finish(question: &Question<'_>) -> Option<Spread> {
    Played::all(&Books::open(*question)).finish.spread(0)
}

/// All the ways in which it may come.
#[derive(Debug)]
struct Played {
    draws: usize,
    finish: Draws,
    sites: Draws,
    tenants: Draws,
}

impl Played {
    fn all(books: &Books<'_>) -> Self {
        let draws = (PLAYS / books.entries.len().max(1)).clamp(DRAWS_MIN, DRAWS_MAX);
        let mut played = Self {
            draws,
            finish: Draws::new(1, draws),
            sites: Draws::new(books.entries.len() - books.ahead, draws),
            tenants: Draws::new(books.tenants, draws),
        };
        for draw in 0..draws {
            let mut tenants: Vec<Option<Timestamp>> = vec![None; books.tenants];
            let mut last = None;
            run(books, chance(books, draw), &Trial::default(), |issue| {
                let tenant = books.entries[issue.order as usize].tenant as usize;
                tenants[tenant] = tenants[tenant].max(Some(issue.at));
                if is_asked_about(books, issue) {
                    last = last.max(Some(issue.at));
                }
                if let Some(site) = (issue.order as usize).checked_sub(books.ahead)
                    && issue.whole
                {
                    played.sites.add(site, issue.at);
                }
            });
            if let Some(at) = last {
                played.finish.add(0, at);
            }
            for (tenant, at) in tenants.into_iter().enumerate() {
                if let Some(at) = at {
                    played.tenants.add(tenant, at);
                }
            }
        }
        played
    }

    /// The draw that ends at the median.
    fn typical_draw(&self) -> usize {
        let median = self.finish.spread(0).map(|spread| spread.p50);
        let all = self.finish.of(0);
        // Where no order ever finishes in some draws, places and draws are not the same; any draw is as good then.
        all.iter().position(|at| Some(*at) == median).unwrap_or(0)
    }
}

fn chance(books: &Books<'_>, draw: usize) -> Chance {
    Chance::new(books.question.seed, draw as u64, books.question.expectations)
}

fn is_asked_about(books: &Books<'_>, issue: Issue) -> bool {
    books.question.sites.is_empty() || issue.order as usize >= books.ahead
}

/// The draw that stands for all, looked at closely, and played again with this or that changed.
#[derive(Debug)]
struct Typical<'a> {
    books: &'a Books<'a>,
    chance: Chance,
    finish: Option<Timestamp>,
    /// By order.
    binding: Vec<Option<Constraint>>,
    /// Orders that took a new-order token and were issued.
    charged: u64,
}

/// How a play ended.
#[derive(Debug, Clone, Copy)]
struct End {
    at: Timestamp,
    /// What the last one waited for.
    binding: Option<Constraint>,
}

impl<'a> Typical<'a> {
    fn of(books: &'a Books<'a>, draw: usize) -> Self {
        let mut typical = Self {
            books,
            chance: chance(books, draw),
            finish: None,
            binding: vec![None; books.entries.len()],
            charged: 0,
        };
        let mut finish = None;
        run(books, typical.chance, &Trial::default(), |issue| {
            typical.binding[issue.order as usize] = issue.binding;
            typical.charged += u64::from(issue.charged);
            if is_asked_about(books, issue) {
                finish = finish.max(Some(issue.at));
            }
        });
        typical.finish = finish;
        typical
    }

    fn play(&self, trial: &Trial) -> Option<End> {
        let mut end: Option<End> = None;
        run(self.books, self.chance, trial, |issue| {
            if is_asked_about(self.books, issue) && end.is_none_or(|end| issue.at > end.at) {
                end = Some(End { at: issue.at, binding: issue.binding });
            }
        });
        end
    }

    fn bindings(&self) -> Vec<Binding> {
        let mut orders = [0_u64; Constraint::ALL.len()];
        let asked_about = if self.books.question.sites.is_empty() { 0 } else { self.books.ahead };
        for constraint in self.binding[asked_about..].iter().flatten() {
            orders[*constraint as usize] += 1;
        }
        let mut bindings: Vec<Binding> = Constraint::ALL
            .into_iter()
            .filter(|constraint| orders[*constraint as usize] > 0)
            .map(|constraint| {
                let without = self.play(&Trial { lifted: vec![constraint], ..Trial::default() });
                let costs = without.zip(self.finish).map(|(end, finish)| end.at.until(finish));
                Binding { constraint, orders: orders[constraint as usize], costs: costs.unwrap_or_default() }
            })
            .collect();
        bindings.sort_by_key(|binding| std::cmp::Reverse((binding.costs, binding.orders)));
        bindings
    }
}
