//! The way to the CA and back: requests that never leave, arrive late, or whose answer is lost or stale.

use std::time::Duration;

use issuance::answer::{Answer, CaOrderStatus, OrderSeen, Trouble};
use issuance::authorization::{AuthorizationSeen, AuthorizationStatus};
use issuance::order::{Order, Stage};
use issuance::problem::{Problem, ProblemKind};
use issuance::step::Step;

use super::story::World;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Heard,
    NotSent,
    RequestLost,
    ResponseLost,
    Limited,
    Busy,
    /// 500, executed or not.
    Broken {
        executed: bool,
    },
    /// A replica that lags: what is young is not found, what has changed looks as it was.
    Stale,
}

pub(super) struct Wire<'a> {
    world: &'a mut World,
}

impl<'a> Wire<'a> {
    /// Every request takes its time, in most worlds.
    pub(super) fn of(world: &'a mut World) -> Self {
        let latency = world.chance.up_to(world.latency_max);
        world.pass(latency);
        Self { world }
    }

    fn fate(&mut self) -> Fate {
        if self.world.is_down() {
            return [Fate::NotSent, Fate::RequestLost][usize::from(self.world.chance.percent(50))];
        }
        if !self.world.faulty() || !self.world.chance.percent(self.world.faults_percent) {
            return Fate::Heard;
        }
        match self.world.chance.below(8) {
            0 => Fate::NotSent,
            1 => Fate::RequestLost,
            2 | 3 => Fate::ResponseLost,
            4 => Fate::Limited,
            5 => Fate::Busy,
            6 => Fate::Broken { executed: self.world.chance.percent(50) },
            _ => Fate::Stale,
        }
    }

    /// Lets fate have its way with one request; `act` is what the CA does if it gets it.
    fn request<T>(&mut self, act: impl FnOnce(&mut World, bool) -> Result<T, Problem>) -> Result<T, Trouble> {
        let lost = || Trouble::Lost { detail: "no answer".into() };
        let refused = |kind, status| Err(Trouble::Refused(Problem::new(kind, status, "")));
        match self.fate() {
            Fate::Heard => act(self.world, false).map_err(Trouble::Refused),
            Fate::Stale => act(self.world, true).map_err(Trouble::Refused),
            Fate::NotSent => Err(Trouble::NotSent { detail: "no route".into() }),
            Fate::RequestLost => Err(lost()),
            Fate::ResponseLost => {
                drop(act(self.world, false));
                Err(lost())
            }
            Fate::Limited => refused(ProblemKind::RateLimited, 429),
            Fate::Busy => refused(ProblemKind::RateLimited, 503),
            Fate::Broken { executed } => {
                if executed {
                    drop(act(self.world, false));
                }
                refused(ProblemKind::ServerInternal, 500)
            }
        }
    }

    pub(super) fn send(&mut self, order: &Order, step: &Step) -> Answer {
        let ca_order = order.stage.ca().and_then(|ca| number(&ca.url));
        let outcome = match (step, ca_order, &order.stage) {
            (Step::Place, ..) => self.place(order),
            (Step::Find, ..) => self.find(order),
            (Step::ReadOrder, Some(at), _) => {
                self.request(|world, stale| world.read_order(at, stale)).map(Answer::Order)
            }
            (Step::Finalize, Some(at), Stage::Finalizing { request, .. }) => {
                let csr = request.csr_der.clone();
                self.request(|world, _| world.ca.finalize(at, &csr, world.now, &mut world.chance))
                    .map(Answer::Order)
            }
            (Step::Download, Some(at), Stage::Finalizing { request, .. }) => {
                let csr = request.csr_der.clone();
                self.request(|world, _| Ok(world.ca.orders[at].csr.as_ref() == Some(&csr))).map(|fits| {
                    self.world.check(fits, "the certificate fits the committed key");
                    Answer::Chain
                })
            }
            (Step::ReadAuthorizations(indexes), ..) => {
                Ok(Answer::Authorizations(
                    self.each(order, indexes, |world, at, stale| world.read_authz(at, stale)),
                ))
            }
            (Step::Submit(indexes), ..) => {
                Ok(Answer::Submitted(self.each(order, indexes, |world, at, _| {
                    world.check(
                        world.ca.authz[at].status != AuthorizationStatus::Deactivated,
                        "what is deactivated is not submitted",
                    );
                    world.ca.submit(at, world.now, &mut world.chance)
                })))
            }
            (Step::Deactivate(indexes), ..) => {
                Ok(Answer::Deactivated(self.each(order, indexes, |world, at, stale| {
                    world.check(
                        world.ca.authz[at].taken_at.is_none(),
                        "what was submitted is never deactivated",
                    );
                    world.guard_deactivation(at);
                    let said = world.ca.deactivate(at, world.now)?;
                    Ok(if stale { AuthorizationStatus::Pending } else { said })
                })))
            }
            (step, ..) => panic!("{step:?} is no request of an order that is {}", order.stage.as_str()),
        };
        outcome.unwrap_or_else(Answer::Trouble)
    }

    fn each<T>(
        &mut self,
        order: &Order,
        indexes: &[usize],
        act: impl Fn(&mut World, usize, bool) -> Result<T, Problem>,
    ) -> Vec<(usize, Result<T, Trouble>)> {
        let numbered = |index: usize| number(&order.authorizations[index].url).expect("a number");
        indexes
            .iter()
            .map(|&index| (index, self.request(|world, stale| act(world, numbered(index), stale))))
            .collect()
    }

    fn place(&mut self, order: &Order) -> Result<Answer, Trouble> {
        let (names, replaces) = (order.names.clone(), order.replaces.clone());
        // A slow machine may execute it after its sender has given up, but within the quiet period.
        if self.world.faulty() && self.world.chance.percent(3) && !self.world.is_down() {
            let quiet = self.world.ca.profile.quiet();
            let at = self.world.now.after(self.world.chance.up_to(quiet / 3));
            self.world.ca.late_orders.push((at, names, replaces));
            return Err(Trouble::Lost { detail: "slow".into() });
        }
        self.request(|world, _| {
            let at = world.ca.new_order(&names, replaces, world.now, &mut world.chance)?;
            world.ca.settle(world.now, &mut world.chance);
            Ok(Answer::Placed(world.ca.see_order(at)))
        })
    }

    /// Pebble's list: complete, and the order in question is as old as the ask.
    fn find(&mut self, order: &Order) -> Result<Answer, Trouble> {
        let admitted_at = order.stage.reservation().expect("admitted").admitted_at;
        self.request(|world, _| {
            let found = (0..world.ca.orders.len()).find(|&at| {
                let one = &world.ca.orders[at];
                one.names == order.names && one.born_at >= admitted_at && one.expires_at > world.now
            });
            Ok(found.map_or(Answer::NotFound, |at| Answer::Placed(world.ca.see_order(at))))
        })
    }
}

impl World {
    /// By the CA's own count, a deactivation takes a token of a name that has all of them, unless it is forced.
    fn guard_deactivation(&self, at: usize) {
        let authz = &self.ca.authz[at];
        if authz.status != AuthorizationStatus::Pending || !self.ca.profile.charges_deactivation {
            return;
        }
        let last = self.ca.charges.iter().filter(|(name, _)| *name == authz.name).map(|(_, at)| *at).max();
        let full = last.is_none_or(|last| last.after(self.ca.profile.failure_budget_refill()) <= self.now);
        self.check(full || self.forced.contains(&at), "deactivations of one name keep their distance");
    }

    fn lags(&self, born_at: issuance::time::Timestamp, stale: bool) -> bool {
        stale && born_at.until(self.now) < self.ca.profile.quiet() / 3
    }

    fn read_order(&mut self, at: usize, stale: bool) -> Result<OrderSeen, Problem> {
        let order = &self.ca.orders[at];
        let forgotten = order.expires_at <= self.now && !self.ca.shows_expired;
        if forgotten || self.lags(order.born_at, stale) {
            return Err(Problem::new(ProblemKind::Malformed, 404, "No order for ID"));
        }
        let mut seen = self.ca.see_order(at);
        if stale {
            seen.status = match seen.status {
                CaOrderStatus::Ready => CaOrderStatus::Pending,
                CaOrderStatus::Processing => CaOrderStatus::Ready,
                CaOrderStatus::Valid => CaOrderStatus::Processing,
                other => other,
            };
            seen.certificate_url = None;
        }
        let pauses = [None, Some(Duration::ZERO), Some(Duration::from_secs(3)), Some(Duration::MAX)];
        seen.retry_after = pauses[self.chance.below(4) as usize];
        Ok(seen)
    }

    fn read_authz(&self, at: usize, stale: bool) -> Result<AuthorizationSeen, Problem> {
        let authz = &self.ca.authz[at];
        let forgotten = authz.expires_at <= self.now && !self.ca.shows_expired;
        if forgotten || self.lags(authz.born_at, stale) {
            return Err(Problem::new(ProblemKind::Malformed, 404, "Expired authorization"));
        }
        let mut seen = self.ca.see_authz(at);
        if stale && authz.taken_at.is_some() {
            seen.status = AuthorizationStatus::Pending;
            seen.challenge_taken = seen.status != authz.status;
            seen.fault = None;
        }
        Ok(seen)
    }
}

/// The CA's number in an address of the model.
pub(super) fn number(url: &str) -> Option<usize> {
    url.rsplit('/').next()?.parse().ok()
}
