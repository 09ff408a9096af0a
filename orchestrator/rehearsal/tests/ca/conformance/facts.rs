//! The table. A fact names its case by path, so that a case cannot go without being missed.

pub(super) struct Fact {
    pub(super) id: &'static str,
    pub(super) says: &'static str,
    pub(super) case: &'static str,
}

macro_rules! facts {
    ($($id:literal, $says:literal => $case:path;)*) => {
        pub(super) const FACTS: &[Fact] = &[$(Fact { id: $id, says: $says, case: stringify!($case) }),*];
        pub(super) const CASES: &[fn()] = &[$($case),*];
    };
}

facts! {
    "wire.new-orders",
    "The 301st new-order of an account is refused with 429 `rateLimited`, these headers and this text, to the letter." =>
    crate::limits::the_301st_order_is_refused_with_boulders_document;

    "wire.refill",
    "3 s before a token is there it is 429; then exactly one order is admitted, and an hour later exactly 100." =>
    crate::limits::the_301st_order_is_refused_with_boulders_document;

    "wire.registered-domain",
    "The 51st certificate of a registered domain is refused with its text; 201 min 36 s later one is admitted." =>
    super::wire::the_51st_certificate_of_a_domain;

    "wire.exact-set",
    "An exact set is refused with its text once its burst was issued." =>
    super::wire::the_third_certificate_of_a_set_within_the_hour;

    "wire.failed-authorizations",
    "A name that failed too often is refused with its text, as one of an account." =>
    super::wire::a_name_that_failed_three_times;

    "wire.new-accounts",
    "An address that made too many accounts is refused with its text." =>
    super::wire::the_51st_account_of_an_address;

    "wire.paused",
    "A paused name is 429 of the same type with a signed link, without `Retry-After` and without the help link; it may be several names." =>
    super::pausing::a_paused_name_is_refused_with_a_link_and_no_wait;

    "wire.unpause",
    "Posting the link answers 302 with the count; the name may still stand under its failed authorizations." =>
    super::pausing::a_click_frees_the_whole_account_and_no_other_limit;

    "wire.one-name",
    "A hundred names are refused whole for one of them, which alone is named; there are never subproblems." =>
    super::wire::a_hundred_names_are_refused_for_one;

    "wire.no-pending-cap",
    "Nothing limits pending authorizations." =>
    super::wire::nothing_limits_what_is_pending;

    "rule.order-reuse-costs",
    "The new-order token is spent before the CA looks whether it has the order, and a limited account does not even get that." =>
    crate::limits::asking_for_an_order_again_costs_and_a_refused_name_does_not;

    "rule.refund",
    "A new-order that the CA itself refuses gives the token back." =>
    crate::limits::asking_for_an_order_again_costs_and_a_refused_name_does_not;

    "rule.no-refund",
    "Deactivating authorizations gives no new-order token back." =>
    super::rules::deactivating_gives_no_new_order_back;

    "rule.spent-at-issuance",
    "Certificates per registered domain and per exact set are checked at new-order and spent at issuance; what was admitted is never refused at finalize." =>
    crate::limits::certificates_are_checked_at_the_order_and_spent_at_issuance;

    "rule.domain-is-global",
    "Certificates per registered domain are counted over all accounts." =>
    crate::limits::certificates_are_checked_at_the_order_and_spent_at_issuance;
    "rule.set-is-global",
    "An exact set is counted over all accounts." =>
    super::rules::an_exact_set_is_counted_over_all_accounts;


    "rule.several-domains",
    "A certificate counts once for each registered domain in it." =>
    super::rules::an_order_over_several_domains_spends_one_of_each;

    "rule.suffix-list",
    "The registered domain is that of the public suffix list, its private part included." =>
    super::rules::tenants_below_one_registered_domain_share_its_bucket;

    "rule.set-renewal",
    "An exact set that was issued lately passes new orders and its domains, and stands under its own limit and failed authorizations." =>
    super::rules::a_renewal_passes_new_orders_and_its_domain_and_nothing_else;

    "rule.set-120-days",
    "Lately is less than 120 days ago, to whatever account; a part of the set is another set." =>
    super::rules::a_set_is_a_renewal_for_120_days_whoever_had_it;

    "rule.set-moved",
    "A site that was certified elsewhere with the same names is a renewal here." =>
    super::rules::an_order_needs_no_token_where_the_set_was_issued_before_the_ca_knew_the_account;

    "rule.deactivation-charged",
    "Deactivating a pending authorization counts as a failed one; a valid one costs nothing." =>
    crate::limits::deactivating_what_is_pending_counts_as_a_failure_and_what_is_valid_does_not;

    "rule.deactivation-pauses",
    "Deactivating a pending authorization counts towards pausing." =>
    crate::limits::a_name_that_only_fails_is_paused_until_a_person_acts;

    "rule.deactivation-during-validation",
    "Deactivating what is being validated costs a second token if it fails." =>
    crate::limits::a_deactivation_during_a_failing_validation_costs_two;

    "rule.abandoned",
    "Leaving a pending authorization to expire costs nothing." =>
    super::rules::what_is_abandoned_costs_nothing;

    "rule.failure-charged",
    "A failed validation spends a token." =>
    super::rules::a_failed_validation_spends_a_token;

    "rule.outage-charged",
    "An outage of the validation service spends a token, too." =>
    crate::outages::the_validation_service_hangs_and_the_client_pays;

    "rule.success",
    "A success fills the bucket of pausing and not that of failed authorizations." =>
    super::rules::a_success_resets_only_the_pausing_bucket;

    "rule.failures-are-of-a-name",
    "Failed authorizations are counted for an account and an exact name: neither another account nor a sibling is hit, and an order with the name in it is." =>
    crate::limits::deactivating_what_is_pending_counts_as_a_failure_and_what_is_valid_does_not;

    "rule.wildcard",
    "A wildcard and the plain name fail apart." =>
    super::rules::a_wildcard_fails_alone;

    "rule.longest-wait",
    "Of several limits the one with the longest wait is reported." =>
    crate::limits::the_longer_wait_is_the_one_reported;

    "rule.jitter",
    "The wait is the true one and up to 3 % more, drawn anew at each refusal." =>
    super::rules::each_refusal_draws_its_own_jitter;
    "rule.no-wait",
    "Less than half a second is no wait: the refusal has neither `Retry-After` nor the help link." =>
    super::rules::less_than_half_a_second_is_no_wait;


    "rule.fails-open",
    "Where the limits cannot be asked, a limited account is served after a short wait." =>
    crate::outages::limits_that_cannot_be_asked_do_not_apply;

    "rule.revocation",
    "Revoking gives nothing back." =>
    super::rules::revoking_gives_nothing_back;

    "rule.sequence",
    "An order is judged for paused names, `replaces`, its profile, limits and names, in this sequence." =>
    super::rules::orders_are_judged_in_boulders_sequence;

    "number.production",
    "The limits have the numbers of production, and a certificate 100 names, or 25 by profile." =>
    super::numbers::the_limits_are_those_of_production;

    "number.refill",
    "Tokens come back at the documented pace." =>
    super::numbers::tokens_come_back_at_the_documented_pace;

    "number.staging",
    "Staging has numbers of its own and finalizes asynchronously." =>
    super::numbers::the_limits_of_staging_are_other_ones;

    "number.override",
    "An override is of an account or a registered domain, and holds from the moment it is set." =>
    crate::books::an_override_holds_from_the_moment_it_is_set;

    "number.domain-of-account",
    "Certificates per registered domain and account exist only as an override." =>
    crate::books::a_registered_domain_has_an_override_of_its_own_and_an_account_its_own_buckets;

    "number.failures-of-account",
    "Failed authorizations can be overridden for an account." =>
    super::numbers::an_account_can_have_failures_of_its_own;

    "pause.burst",
    "A name is paused after 1,152 net failures, one of which is forgotten a day: never at one a day, after 10 days at 120." =>
    super::numbers::a_name_is_paused_after_days_or_years_or_never;

    "pause.link",
    "The link is signed and lives for 14 days; the pause does not end by itself." =>
    super::pausing::a_link_is_signed_and_good_for_14_days;

    "pause.whole-account",
    "A click unpauses the whole account." =>
    super::pausing::a_click_frees_the_whole_account_and_no_other_limit;

    "pause.grace",
    "What was unpaused is not paused again for 14 days." =>
    super::pausing::what_was_unpaused_has_14_days_of_grace;

    "busy.rates",
    "Each address has a rate at each endpoint, and is answered 503 in HTML with `Retry-After` above it." =>
    super::balancer::one_address_has_its_rate_at_each_endpoint;

    "busy.numbers",
    "The rates are those of the documentation, for production and staging." =>
    super::balancer::the_rates_are_those_of_the_documentation;

    "busy.service",
    "A CA that is busy answers 503 `rateLimited`, which is no quota." =>
    super::balancer::a_busy_ca_is_503_of_the_same_type;

    "ari.window",
    "The window is 2 % of the life wide, around two thirds of it." =>
    crate::renewal::the_window_is_two_percent_wide_at_two_thirds_of_the_life;

    "ari.short",
    "Below 10 days it is around the half." =>
    super::ari::a_short_life_is_renewed_at_its_half;

    "ari.poll",
    "`Retry-After` is 6 h give or take 20 %, a GET has no nonce, and a wrong id is 404 `malformed`." =>
    crate::renewal::the_window_is_two_percent_wide_at_two_thirds_of_the_life;

    "ari.revoked",
    "The window of a revoked certificate lies between an hour and half an hour ago." =>
    crate::renewal::a_revoked_certificate_should_have_been_renewed_already;

    "ari.incident",
    "So does that of one in an incident, with an `explanationURL`." =>
    super::ari::an_incident_says_why;

    "ari.exempt-inside",
    "The exemption holds from the start of the window, included, to its end, excluded." =>
    super::ari::only_the_window_exempts;

    "ari.exempt-from-all",
    "Inside the window an order stands under no limit." =>
    super::ari::the_window_exempts_from_every_limit;
    "ari.failures-charged",
    "A failure inside the window is charged all the same." =>
    super::ari::the_window_exempts_from_every_limit;


    "ari.revoked-not-exempt",
    "What replaces a revoked certificate is never exempt." =>
    super::ari::what_was_revoked_is_never_exempt;

    "ari.paused-not-exempt",
    "A paused name is refused inside the window, too." =>
    super::ari::the_window_does_not_free_a_paused_name;
    "ari.policy",
    "Names are refused inside the window, too." =>
    super::ari::the_window_does_not_bend_policy;


    "ari.still-spends",
    "What is exempt still spends: the exact set always, the domains only if the set was not issued in 120 days." =>
    super::ari::what_is_exempt_still_spends;

    "ari.other-account",
    "Another account's certificate is 403." =>
    crate::renewal::a_certificate_is_replaced_once_and_exempt_only_inside_its_window;

    "ari.unfit",
    "A certificate without a name in common is 400, an unknown one 404." =>
    super::ari::a_certificate_of_the_same_account_and_a_name_in_common_is_wanted;

    "ari.already-replaced",
    "A second order with that `replaces` is 409 `alreadyReplaced`, whatever the first came to, unless that is invalid." =>
    crate::renewal::a_certificate_is_replaced_once_and_exempt_only_inside_its_window;

    "ari.already-replaced-first",
    "It is 409 before it is 403." =>
    super::ari::already_replaced_is_said_first;

    "ari.lost",
    "Without `replaces` the same names return the lost order, with its `replaces`." =>
    crate::renewal::a_lost_replacement_order_is_found_without_replaces;

    "ari.reuse",
    "An order that is found again ignores a new `replaces`." =>
    super::ari::an_order_found_again_ignores_replaces;

    "order.reuse",
    "The same account, names and profile return the same order while it is pending or ready." =>
    crate::orders::a_lost_answer_is_repaired_by_asking_again;

    "order.profiles",
    "Neither orders nor valid authorizations are shared across profiles, the empty one among them." =>
    super::orders::valid_authorizations_are_not_shared_across_profiles;

    "order.pending-not-shared",
    "Pending authorizations are not shared between orders, valid ones are." =>
    crate::orders::pending_authorizations_are_not_shared_and_valid_ones_are;

    "order.race",
    "Identical new-orders in parallel may make several orders." =>
    super::orders::identical_orders_in_parallel_do_not_see_each_other;

    "order.hidden",
    "A failed order hides later ones of its set until it expires, and another account's does, too." =>
    crate::orders::a_failed_order_hides_later_ones_of_its_set_until_it_expires;

    "order.finalized-once",
    "Finalizing in parallel makes one certificate; the others are 403." =>
    crate::orders::parallel_finalizations_make_one_certificate;

    "order.sequence",
    "Authorizations come in the order of their numbers, challenges in any order with one token." =>
    super::orders::authorizations_come_in_the_order_of_their_numbers;

    "order.dead",
    "An order whose pending authorization is deactivated is invalid at once, without an error, and the next one has all new authorizations." =>
    super::orders::a_dead_order_is_replaced_whole;

    "order.ready-dead",
    "Deactivating a valid authorization makes the ready order invalid; finalize is 403 and the next order keeps the other one." =>
    crate::orders::pending_authorizations_are_not_shared_and_valid_ones_are;

    "order.failed",
    "A failed challenge leaves only itself in its authorization, an invalid order without an error, and its sibling pending." =>
    crate::authorizations::a_failure_ends_its_order_and_leaves_the_sibling_pending;

    "order.dead-challenge",
    "A challenge of an invalid authorization is 404; deactivating that answers `deactivated` and changes nothing." =>
    crate::authorizations::a_failure_ends_its_order_and_leaves_the_sibling_pending;

    "order.valid-challenge",
    "A challenge that is valid already is answered 200." =>
    crate::authorizations::http_01_follows_redirects_and_trims_white_space;

    "order.no-cancel",
    "An order cannot be cancelled, and finalize wants it ready and a CSR of the same names." =>
    crate::orders::finalize_wants_a_ready_order_and_the_same_names;

    "order.no-list",
    "There is no list of orders; anybody may GET one, and another account's POST is 404." =>
    crate::orders::orders_of_others_are_unknown_and_lists_are_paged_where_there_are_lists;

    "order.expired",
    "What has expired is 404." =>
    crate::orders::what_has_expired_is_not_found;

    "order.asynchronous",
    "Asynchronous finalize is `processing` with `Retry-After: 3`." =>
    crate::orders::an_asynchronous_ca_is_done_when_its_clock_says_so;

    "order.deactivated-account",
    "A deactivated account is served for five more seconds." =>
    super::orders::a_deactivated_account_is_served_for_five_seconds;

    "order.bad-request",
    "Unknown profiles, too many names and bad names are refused in these words, with subproblems where several are bad." =>
    crate::orders::bad_requests_are_refused_in_boulders_words;

    "outage.signing",
    "Signing hangs: 500 with `Retry-After: 60`, the order invalid for good, its authorizations valid." =>
    crate::outages::the_signing_service_hangs;

    "outage.signing-asynchronous",
    "At an asynchronous CA the order is `processing`, then invalid with the error." =>
    crate::outages::the_signing_service_of_an_asynchronous_ca_hangs;

    "outage.logs",
    "The CT logs hang: the same with another text." =>
    crate::outages::the_ct_logs_hang;

    "outage.validation",
    "Validation hangs: pending for 20 s, then invalid as `serverInternal`, and counted." =>
    crate::outages::the_validation_service_hangs_and_the_client_pays;

    "outage.services",
    "Registration, storage or the database hangs: new-order is 500 with `Retry-After: 60`." =>
    crate::outages::a_service_that_new_order_needs_hangs;

    "outage.perspectives",
    "With fewer than three remote perspectives nothing is validated." =>
    super::orders::too_few_perspectives_fail_everything;

    "outage.validation-errors",
    "A validation fails as `dns`, `connection` or `unauthorized`, for the reason it failed for." =>
    crate::authorizations::http_01_fails_for_the_reason_it_failed_for;

    "outage.caa",
    "It fails as `caa` where a record forbids it." =>
    crate::authorizations::caa_of_the_nearest_ancestor_is_obeyed;
}
