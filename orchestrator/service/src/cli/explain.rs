//! `lockkeeper explain NAME`: why a name has no certificate yet, and what to do.

use clap::Args;
use issuance::check::Outcome;
use issuance::fault::Actor;

use super::api_client::ApiClient;
use super::error::CliError;
use super::exit::Exit;
use super::listing::or_dash;
use super::output::{Format, Output, table};
use crate::api::address::with_segment;
use crate::store::explanations::{FindingView, HostnameView};

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The name, as it was ordered.
    #[arg(value_name = "NAME")]
    pub hostname: String,
    /// Has it checked now, and waits for what is found.
    #[arg(long)]
    pub check: bool,
}

/// Longer than a check takes.
pub(super) const CHECK_WAIT_SECONDS: u64 = 45;

pub async fn run(args: &ExplainArgs, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let path = with_segment("/v1/hostnames", &args.hostname);
    let view: HostnameView = if args.check {
        api.post_waiting(&format!("{path}/check"), CHECK_WAIT_SECONDS).await?
    } else {
        api.get(&path).await?
    };
    show(&view, output)?;
    let unanswered = args.check && view.check_requested_at.is_some();
    Ok(if unanswered { Exit::Partial } else { Exit::Done })
}

pub(super) fn show(view: &HostnameView, output: Output) -> Result<(), CliError> {
    match output.format() {
        Format::Json => output.json(view),
        Format::Table => output.text(&text(view)),
    }
}

fn text(view: &HostnameView) -> String {
    let mut parts = vec![table(["hostname", &view.hostname], facts(view))];
    if !view.records.is_empty() {
        let rows = view.records.iter().map(|record| {
            [record.action.clone(), record.name.clone(), record.r#type.clone(), record.value.clone()]
        });
        parts.push(table(["DNS", "name", "type", "value"], rows.collect()));
    }
    if !view.checks.is_empty() {
        let header = ["check", "at", "result", "observed", "expected"];
        parts.push(table(header, view.checks.iter().map(finding).collect()));
    }
    let hints: Vec<_> = view.checks.iter().filter_map(|one| one.hint.as_deref()).collect();
    let mut told: Vec<&str> = Vec::new();
    for hint in hints {
        if !told.contains(&hint) {
            told.push(hint);
        }
    }
    if !told.is_empty() {
        parts.push(format!("What helps:\n- {}", told.join("\n- ")));
    }
    parts.join("\n\n")
}

fn finding(view: &FindingView) -> [String; 5] {
    let result = match (view.finding.outcome, view.weight.as_str()) {
        (Outcome::Passed, _) => "ok".to_owned(),
        (Outcome::Unknown, _) => "unknown".to_owned(),
        (Outcome::Failed, "blocks") => "FAILED".to_owned(),
        (Outcome::Failed, weight) => format!("failed ({weight})"),
    };
    let finding = &view.finding;
    [
        finding.check.as_str().to_owned(),
        finding.at.as_deref().unwrap_or("-").to_owned(),
        result,
        finding.observed.to_string(),
        finding.expected.to_string(),
    ]
}

fn facts(view: &HostnameView) -> Vec<[String; 2]> {
    let who = view.actor.map(|actor| match actor {
        Actor::Tenant => "whoever runs the site or its DNS",
        Actor::Operator => "whoever runs the hosting servers",
        Actor::Nobody => "nobody",
    });
    let mut facts = vec![
        ("status", view.status.as_str().to_owned()),
        ("tenant", view.tenant.clone()),
        ("who must act", or_dash(who)),
        ("to do", or_dash(view.to_do.as_ref())),
        ("checked", or_dash(view.checked_at)),
        ("next attempt", or_dash(view.next_attempt_at)),
    ];
    let more = [
        ("next look", view.next_look_at),
        ("rate limited until", view.rate_limited_until),
        ("broken since", view.broken_since),
        ("given up", view.suspended_at),
        ("check asked for", view.check_requested_at),
        ("dns-persist-01 offered", view.dns_persist_offered_at),
    ];
    facts.extend(more.into_iter().filter_map(|(name, at)| Some((name, at?.to_string()))));
    if let Some(fault) = &view.fault {
        facts.push(("cause", format!("{}: {}", fault.class.as_str(), fault.detail)));
    }
    if let Some(told) = &view.ca_problem {
        facts.push(("the CA said", format!("{} {}", told.at, told.problem)));
        let more = told.problem.subproblems.iter().map(|problem| ("", problem.to_string()));
        facts.extend(more);
    }
    for skipped in &view.overrides {
        facts.push(("skipped", format!("{}: {}", skipped.check.as_str(), skipped.note)));
    }
    facts.extend([
        ("site", or_dash(view.external_id.as_ref())),
        ("certificate", or_dash(view.certificate_id)),
        (
            "order",
            match (&view.order_id, &view.stage) {
                (Some(order), Some(stage)) => format!("{order} {stage}"),
                _ => "-".to_owned(),
            },
        ),
    ]);
    facts.into_iter().map(|(name, value)| [name.to_owned(), value]).collect()
}
