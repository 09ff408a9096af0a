//! What befalls a client, and when.

use rehearsal::faults::{Effect, Endpoint, Fault, Plan};

/// One row of the table; those that end the client have rows for what running it again makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Accident {
    /// SIGKILL to the client's process group.
    Killed(Moment),
    /// SIGTERM, while the CA takes its time to show the authorizations.
    Terminated,
    /// The folder that the web server serves is not there.
    WebrootMissing,
    /// It is there, and nobody can write to it.
    WebrootReadOnly,
}

/// How far all orders of a cell have come. The CA holds the request of that moment, so that none is further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    NewOrderUnderWay,
    BeforeChallenge,
    UnderValidation,
    BeforeFinalize,
    FinalizeUnderWay,
    BeforeDownload,
}

impl Accident {
    pub const ALL: [Self; 9] = [
        Self::Killed(Moment::NewOrderUnderWay),
        Self::Killed(Moment::BeforeChallenge),
        Self::Killed(Moment::UnderValidation),
        Self::Killed(Moment::BeforeFinalize),
        Self::Killed(Moment::FinalizeUnderWay),
        Self::Killed(Moment::BeforeDownload),
        Self::Terminated,
        Self::WebrootMissing,
        Self::WebrootReadOnly,
    ];

    /// In the JSON, and in `ACCIDENT`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Killed(Moment::NewOrderUnderWay) => "killed_with_new_order_under_way",
            Self::Killed(Moment::BeforeChallenge) => "killed_before_challenge",
            Self::Killed(Moment::UnderValidation) => "killed_under_validation",
            Self::Killed(Moment::BeforeFinalize) => "killed_before_finalize",
            Self::Killed(Moment::FinalizeUnderWay) => "killed_with_finalize_under_way",
            Self::Killed(Moment::BeforeDownload) => "killed_before_download",
            Self::Terminated => "terminated_after_new_order",
            Self::WebrootMissing => "webroot_missing",
            Self::WebrootReadOnly => "webroot_read_only",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Killed(Moment::NewOrderUnderWay) => "killed while new-order is being answered",
            Self::Killed(Moment::BeforeChallenge) => "killed after new-order, before a challenge is accepted",
            Self::Killed(Moment::UnderValidation) => "killed with challenges under validation",
            Self::Killed(Moment::BeforeFinalize) => "killed before finalize",
            Self::Killed(Moment::FinalizeUnderWay) => "killed with finalize under way",
            Self::Killed(Moment::BeforeDownload) => "killed before the certificate is downloaded",
            Self::Terminated => "SIGTERM after new-order",
            Self::WebrootMissing => "the webroot is missing (Lockkeeper: nothing answers the challenge path)",
            Self::WebrootReadOnly => "the webroot is not writable",
        }
    }

    /// As a cron job would.
    pub fn is_run_again(self) -> bool {
        matches!(self, Self::Killed(_) | Self::Terminated)
    }

    /// What brings the moment about.
    pub fn faults(self) -> Plan {
        let (effect, endpoint) = match self {
            Self::Killed(Moment::NewOrderUnderWay) => (Effect::HoldResponse, Endpoint::NewOrder),
            Self::Killed(Moment::BeforeChallenge) => (Effect::HoldRequest, Endpoint::Challenge),
            Self::Killed(Moment::UnderValidation) => (Effect::HoldValidation, Endpoint::Challenge),
            Self::Killed(Moment::BeforeFinalize) => (Effect::HoldRequest, Endpoint::Finalize),
            Self::Killed(Moment::FinalizeUnderWay) => (Effect::HoldResponse, Endpoint::Finalize),
            Self::Killed(Moment::BeforeDownload) => (Effect::HoldRequest, Endpoint::Certificate),
            Self::Terminated => (Effect::HoldRequest, Endpoint::Authorization),
            Self::WebrootMissing | Self::WebrootReadOnly => return Plan::default(),
        };
        Plan::of(Fault::new(effect).at(endpoint))
    }
}
