//! The resources of a CA, as far as timing, smoothing and metrics tell them apart.

use std::fmt;
use std::time::Duration;

use issuance::profile::RequestRates;

macro_rules! endpoints {
    ($($variant:ident => $text:literal),+ $(,)?) => {
        /// What a request is addressed to.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Endpoint {
            $($variant,)+
        }

        impl Endpoint {
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable word for it: the `endpoint` label of every instrument.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}

endpoints! {
    Directory => "directory",
    NewNonce => "new_nonce",
    NewAccount => "new_account",
    Account => "account",
    Orders => "orders",
    NewOrder => "new_order",
    Order => "order",
    Authorization => "authorization",
    Challenge => "challenge",
    Finalize => "finalize",
    Certificate => "certificate",
    RevokeCert => "revoke_cert",
    RenewalInfo => "renewal_info",
}

impl Endpoint {
    /// Requests a second that one source address may send here; zero for no limit.
    pub(crate) fn requests_per_second(self, rates: &RequestRates) -> u32 {
        match self.lane() {
            Lane::Directory => rates.directory,
            Lane::NewNonce => rates.new_nonce,
            Lane::NewAccount => rates.new_account,
            Lane::NewOrder => rates.new_order,
            Lane::RevokeCert => rates.revoke_cert,
            Lane::RenewalInfo => rates.renewal_info,
            Lane::Other => rates.other,
        }
    }

    /// Endpoints of one lane share one rate.
    pub(crate) const fn lane(self) -> Lane {
        match self {
            Self::Directory => Lane::Directory,
            Self::NewNonce => Lane::NewNonce,
            Self::NewAccount => Lane::NewAccount,
            Self::NewOrder => Lane::NewOrder,
            Self::RevokeCert => Lane::RevokeCert,
            Self::RenewalInfo => Lane::RenewalInfo,
            Self::Account
            | Self::Orders
            | Self::Order
            | Self::Authorization
            | Self::Challenge
            | Self::Finalize
            | Self::Certificate => Lane::Other,
        }
    }
}

/// What a CA's load balancer counts separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Directory,
    NewNonce,
    NewAccount,
    NewOrder,
    RevokeCert,
    RenewalInfo,
    Other,
}

impl Lane {
    pub(crate) const COUNT: usize = Self::Other as usize + 1;
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How long one request may take, from the first byte out to the last byte in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, TLS included. Shorter than the others: whoever waits in vain for a connection has sent
    /// nothing, and that is worth knowing.
    pub connect: Duration,
    /// Boulder gives a hung backend 15 s and 100 names take it seconds more.
    pub new_order: Duration,
    /// A CA that signs before it answers waits for its transparency logs.
    pub finalize: Duration,
    pub other: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            new_order: Duration::from_secs(90),
            finalize: Duration::from_secs(90),
            other: Duration::from_secs(30),
        }
    }
}

impl Timeouts {
    pub fn of(&self, endpoint: Endpoint) -> Duration {
        match endpoint {
            Endpoint::NewOrder => self.new_order,
            Endpoint::Finalize => self.finalize,
            _ => self.other,
        }
    }
}
