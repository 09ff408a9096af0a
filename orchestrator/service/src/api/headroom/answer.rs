//! A forecast as the API and the commands write it.

use issuance::exemption::{Exemption, Exemptions};
use issuance::forecast::{self, Constraint, Spread, Target};
use issuance::ids::AccountId;
use issuance::limit::LimitName;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// When it will be done, and what it waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ForecastAnswer {
    pub ca: String,
    /// `None`: for an account that has done nothing yet.
    pub account_id: Option<AccountId>,
    pub asked_at: Timestamp,
    pub assumptions: Assumed,
    /// Of what was asked about: the sites, or everything that is queued.
    pub orders: OrderCounts,
    /// `None`: none of them ever finishes.
    pub finish: Option<Spread>,
    /// The dearest first.
    pub binding_limits: Vec<BindingLimit>,
    pub proposals: Vec<Proposed>,
    /// Those who have an order.
    pub tenants: Vec<TenantFinish>,
    /// In the order in which they were asked about; absent, where it was all that is queued.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<SiteFinish>,
}

/// What stands for what is not known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Assumed {
    /// Orders in hand at once, over all replicas.
    pub workers: u32,
    /// How long one order is in hand.
    pub order_seconds: f64,
    /// `order_seconds` is the median of orders that this account has finished.
    pub measured: bool,
    pub pending_authorizations_max: u32,
    /// From 0 to 1: sites that get no certificate for all of their names before somebody has repaired them.
    pub broken_share: f64,
    /// Of those, the ones that preflight does not see.
    pub hidden_share: f64,
    /// Of the others with more than one name, the ones of which some name is good and gets a certificate.
    pub partial_share: f64,
    pub seed: u64,
    /// Ways in which it may come that were played.
    pub draws: usize,
}

/// How many the CA counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct OrderCounts {
    pub total: u64,
    pub charged: u64,
    /// The exact set was issued in the last 120 days: no new-order token, none of the registered domain.
    pub exempt_by_exact_set: u64,
    /// Inside the window of the certificate that it replaces: no limit at all.
    pub exempt_by_renewal_info: u64,
    /// In front of what was asked about; not shown to a tenant.
    pub ahead: Option<u64>,
}

impl OrderCounts {
    pub(super) fn add(&mut self, exemptions: &Exemptions, orders: u64, now: Timestamp) {
        self.total += orders;
        match exemptions.at(now) {
            None => self.charged += orders,
            Some(Exemption::ExactSet) => self.exempt_by_exact_set += orders,
            Some(Exemption::RenewalInfo) => self.exempt_by_renewal_info += orders,
        }
    }
}

/// Something that makes orders wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BindingLimit {
    pub limit: Constraint,
    /// Orders that wait for it longer than for anything else.
    pub orders: u64,
    /// How much sooner all would be done without it.
    pub costs_seconds: u64,
}

/// What to ask the CA for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Proposed {
    /// `None`: as soon as our own hands allow.
    pub within_seconds: Option<u64>,
    pub reached: bool,
    pub overrides: Vec<Override>,
    /// Registered domains that would need one too.
    pub overrides_left_out: usize,
    /// The finish with all of them, at the median.
    pub finish: Option<Timestamp>,
    /// What holds up the last order then.
    pub binding_limit: Option<Constraint>,
}

/// The smallest override that does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Override {
    pub limit: LimitName,
    /// The registered domain; `None` for the account.
    pub key: Option<String>,
    /// Burst, and tokens a period.
    pub count: u32,
    pub count_now: u32,
    pub period_seconds: u64,
}

/// One tenant's, what it has queued already among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantFinish {
    pub tenant: String,
    pub orders: OrderCounts,
    /// `None`: none of its orders ever finishes.
    pub finish: Option<Spread>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SiteFinish {
    pub charged: bool,
    /// `exact_set` or `renewal_info`.
    pub exempt_by: Option<String>,
    /// What it waits for longest.
    pub binding_limit: Option<Constraint>,
    /// Of all of its names, unless some are broken.
    pub finish: Option<Spread>,
}

impl From<&forecast::SiteForecast> for SiteFinish {
    fn from(site: &forecast::SiteForecast) -> Self {
        Self {
            charged: site.exemption.is_none(),
            exempt_by: site.exemption.map(|exemption| exemption.as_str().to_owned()),
            binding_limit: site.binding,
            finish: site.finish,
        }
    }
}

impl From<&forecast::Binding> for BindingLimit {
    fn from(binding: &forecast::Binding) -> Self {
        Self { limit: binding.constraint, orders: binding.orders, costs_seconds: binding.costs.as_secs() }
    }
}

impl From<forecast::Proposal> for Proposed {
    fn from(proposal: forecast::Proposal) -> Self {
        let ask = |ask: forecast::Ask| Override {
            limit: ask.limit,
            key: ask.key.map(String::from),
            count: ask.count,
            count_now: ask.count_now,
            period_seconds: ask.period_seconds,
        };
        Self {
            within_seconds: match proposal.target {
                Target::Within(time) => Some(time.as_secs()),
                Target::WorkerBound => None,
            },
            reached: proposal.reached,
            overrides: proposal.asks.into_iter().map(ask).collect(),
            overrides_left_out: proposal.asks_left_out,
            finish: proposal.finish,
            binding_limit: proposal.binding,
        }
    }
}
