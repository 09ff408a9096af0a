//! A plan for people, and its sites as CSV.

use issuance::forecast::{Constraint, Spread};
use issuance::identifier::Hostname;
use issuance::time::Timestamp;

use crate::adopt::csv::Row;
use crate::api::headroom::answer::{ForecastAnswer, Override, Proposed, SiteFinish};
use crate::cli::listing::or_dash;
use crate::cli::output::table;

/// Rows of each list; the rest is in the JSON and the CSV.
const SHOWN_MAX: usize = 10;

/// The plan in words and tables.
pub(super) fn text<'a>(
    answer: &ForecastAnswer,
    sites: impl Iterator<Item = (&'a Row, &'a SiteFinish)>,
) -> String {
    let mut parts = vec![summary(answer)];
    let binding: Vec<[String; 3]> = answer
        .binding_limits
        .iter()
        .map(|binding| {
            [binding.limit.as_str().to_owned(), binding.orders.to_string(), span(binding.costs_seconds)]
        })
        .collect();
    add(&mut parts, ["waits for", "orders", "all done sooner without"], binding);
    let proposals = answer.proposals.iter().map(proposed(answer.asked_at)).collect();
    add(&mut parts, ["to be done", "ask the CA for", "then done", "and then waits for"], proposals);
    let mut slowest: Vec<_> = sites.filter_map(|(row, site)| Some((row, site, site.finish?))).collect();
    slowest.sort_by_key(|(row, _, finish)| (std::cmp::Reverse(finish.p50), row.line));
    let slowest = slowest.iter().take(SHOWN_MAX).map(|(row, site, finish)| {
        [
            row.external_id.clone(),
            row.tenant.clone(),
            row.names.iter().next().map(Hostname::to_string).unwrap_or_default(),
            or_dash(site.exempt_by.as_deref()),
            or_dash(site.binding_limit.map(Constraint::as_str)),
            to_the_second(finish.p50),
        ]
    });
    add(
        &mut parts,
        ["slowest sites", "tenant", "first name", "exempt by", "waits for", "done"],
        slowest.collect(),
    );
    let mut tenants: Vec<_> =
        answer.tenants.iter().filter_map(|tenant| Some((tenant, tenant.finish?))).collect();
    tenants.sort_by_key(|(_, finish)| std::cmp::Reverse(finish.p50));
    let tenants = tenants.iter().take(SHOWN_MAX).map(|(tenant, finish)| {
        [
            tenant.tenant.clone(),
            tenant.orders.total.to_string(),
            to_the_second(finish.p50),
            in_time(answer, finish),
        ]
    });
    add(&mut parts, ["slowest tenants", "orders", "done", ""], tenants.collect());
    parts.join("\n\n")
}

fn add<const COLUMNS: usize>(parts: &mut Vec<String>, header: [&str; COLUMNS], rows: Vec<[String; COLUMNS]>) {
    if !rows.is_empty() {
        parts.push(table(header, rows));
    }
}

fn summary(answer: &ForecastAnswer) -> String {
    let orders = &answer.orders;
    let account = match answer.account_id {
        Some(account) => format!("account {account} as it stands"),
        None => "an account that has done nothing yet".to_owned(),
    };
    let ahead = match orders.ahead {
        Some(ahead) if ahead > 0 => format!(" {ahead} are queued ahead."),
        _ => String::new(),
    };
    let finish = match &answer.finish {
        Some(finish) => format!(
            "Done {} ({}) at the median, {} in nine of ten cases.",
            to_the_second(finish.p50),
            in_time(answer, finish),
            to_the_second(finish.p90)
        ),
        None => "Nothing of it is ever done.".to_owned(),
    };
    let assumed = &answer.assumptions;
    let measured = if assumed.measured { "measured" } else { "assumed" };
    format!(
        "{} orders at {}, {account}.{ahead}\n\
         {} are charged, {} are exempt as the exact set was issued lately, {} inside a renewal window.\n\
         {finish}\n\
         {} orders in hand, {:.1} s each ({measured}); {:.1} % of the sites broken, {:.1} % of those not seen by \
         preflight, {:.1} % of the others in part.",
        orders.total,
        answer.ca,
        orders.charged,
        orders.exempt_by_exact_set,
        orders.exempt_by_renewal_info,
        assumed.workers,
        assumed.order_seconds,
        assumed.broken_share * 100.0,
        assumed.hidden_share * 100.0,
        assumed.partial_share * 100.0,
    )
}

fn proposed(now: Timestamp) -> impl Fn(&Proposed) -> [String; 4] {
    move |proposal| {
        let target = match proposal.within_seconds {
            Some(seconds) => format!("within {}", span(seconds)),
            None => "as soon as we can".to_owned(),
        };
        let done = proposal.finish.map_or_else(
            || "never".to_owned(),
            |at| {
                let late = if proposal.reached { "" } else { ", too late" };
                format!("in {}{late}", span(now.until(at).as_secs()))
            },
        );
        [target, asked(proposal), done, or_dash(proposal.binding_limit.map(Constraint::as_str))]
    }
}

fn asked(proposal: &Proposed) -> String {
    let mut asked: Vec<String> = proposal.overrides.iter().take(SHOWN_MAX).map(one).collect();
    let left_out = proposal.overrides.len() - asked.len() + proposal.overrides_left_out;
    if left_out > 0 {
        asked.push(format!("and {left_out} more"));
    }
    if asked.is_empty() { "nothing".to_owned() } else { asked.join("; ") }
}

fn one(ask: &Override) -> String {
    let whose = ask.key.as_deref().map(|key| format!(" of {key}")).unwrap_or_default();
    let period = span(ask.period_seconds);
    format!("{}{whose}: {} in {period} instead of {}", ask.limit.as_str(), ask.count, ask.count_now)
}

fn in_time(answer: &ForecastAnswer, finish: &Spread) -> String {
    format!("in {}", span(answer.asked_at.until(finish.p50).as_secs()))
}

/// No forecast is good to the microsecond.
fn to_the_second(at: Timestamp) -> String {
    Timestamp::from_unix_seconds(at.unix_seconds()).to_string()
}

/// The two largest units.
fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let two = |large: u64, name: &str, small: u64, smaller: &str| {
        if small > 0 { format!("{large} {name} {small} {smaller}") } else { format!("{large} {name}") }
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => two(minutes, "min", seconds % 60, "s"),
        (0, ..) => two(hours, "h", minutes, "min"),
        _ => two(days, "d", hours, "h"),
    }
}

/// Each site with its finish, as RFC 4180 has it.
pub(super) fn csv<'a>(sites: impl Iterator<Item = (&'a Row, &'a SiteFinish)>) -> String {
    let mut text = "line,tenant,external_id,names,charged,exempt_by,waits_for,done_p50,done_p90\n".to_owned();
    for (row, site) in sites {
        let names: Vec<&str> = row.names.iter().map(Hostname::as_str).collect();
        let fields = [
            row.line.to_string(),
            quoted(&row.tenant),
            quoted(&row.external_id),
            names.join(" "),
            site.charged.to_string(),
            site.exempt_by.clone().unwrap_or_default(),
            site.binding_limit.map(|limit| limit.as_str().to_owned()).unwrap_or_default(),
            site.finish.map(|finish| to_the_second(finish.p50)).unwrap_or_default(),
            site.finish.map(|finish| to_the_second(finish.p90)).unwrap_or_default(),
        ];
        text.push_str(&fields.join(","));
        text.push('\n');
    }
    text
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_two_units_at_the_most() {
        let spans = [0, 59, 60, 3_599, 3_600, 86_399, 86_400, 93_600].map(span);
        assert_eq!(spans, ["0 s", "59 s", "1 min", "59 min 59 s", "1 h", "23 h 59 min", "1 d", "1 d 2 h"]);
    }

    #[test]
    fn a_field_that_would_break_a_row_is_quoted() {
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
