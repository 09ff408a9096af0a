//! What is measured of delivery.

use metrics::{Unit, describe_counter, describe_gauge};

/// `form`: pem, json, pkcs12. `outcome`: sent, same.
pub(super) const BUNDLES: &str = "lockkeeper_bundles_total";
/// `outcome`: changed, same.
pub(super) const BUNDLE_LISTS: &str = "lockkeeper_bundle_lists_total";
pub(super) const BUNDLE_WAITS: &str = "lockkeeper_bundle_waits";
/// `endpoint`: certificate, ask. `outcome`: found, none.
pub(super) const CADDY: &str = "lockkeeper_caddy_requests_total";
/// `state`: deployed, `not_served`, failed.
pub(super) const REPORTS: &str = "lockkeeper_deployment_reports_total";

pub(super) fn describe() {
    describe_counter!(BUNDLES, "Bundles asked for, by form and whether one was sent or known already.");
    describe_counter!(BUNDLE_LISTS, "Lists of bundles asked for, by whether anything was new.");
    describe_gauge!(BUNDLE_WAITS, Unit::Count, "Requests for a list of bundles that are being held.");
    describe_counter!(
        CADDY,
        "What Caddy servers asked, by endpoint and whether there was something for them."
    );
    describe_counter!(REPORTS, "What agents told of certificates on their servers, by state.");
}
