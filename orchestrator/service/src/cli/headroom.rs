use super::api_client::ApiClient;
use super::error::CliError;
use super::exit::Exit;
use super::notice::notice;
use super::output::Output;
use crate::store::headroom::Headroom;

/// Shows what is left of everything that the CA counts.
pub async fn run(api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let headroom: Headroom = api.get("/v1/headroom").await?;
    output.show(&headroom, ["budget", "for", "remaining", "of", "next token", "full"], rows)?;
    if let Some(reason) = &headroom.stopped_reason {
        notice(&format!("the CA refuses the account, orders wait: {reason}"));
    }
    for limit in &headroom.limits {
        if let Some(demand) = limit.demand {
            notice(&format!(
                "{}: {} orders want one within an hour, {} within a day, {} within a week{}",
                limit.name.as_str(),
                demand.within_1h,
                demand.within_24h,
                demand.within_7d,
                limit.exhausted_at.map_or_else(String::new, |at| format!("; used up at {at}"))
            ));
        }
        if limit.overridden {
            notice(&format!("{}: an override holds, see lockkeeper ca override list", limit.name.as_str()));
        }
    }
    if let Some(until) = headroom.held_until {
        notice(&format!("no new order is placed before {until}: the CA has asked for it"));
    }
    if let Some(until) = headroom.seeks_more_until {
        notice(&format!("until {until} it is found out whether the CA grants more new orders"));
    }
    if !headroom.paused_names.is_empty() {
        let names = headroom.paused_names.len();
        notice(&format!("the CA has paused {names} names: see `lockkeeper paused list`"));
    }
    Ok(Exit::Done)
}

fn rows(headroom: &Headroom) -> Vec<[String; 6]> {
    let dash = || "-".to_owned();
    let pending = &headroom.pending_authorizations;
    let mut rows = vec![[
        "pending_authorizations".to_owned(),
        headroom.ca.clone(),
        pending.remaining.to_string(),
        pending.max.to_string(),
        dash(),
        dash(),
    ]];
    for limit in &headroom.limits {
        let name = || limit.name.as_str().to_owned();
        if limit.reserved > 0 {
            let spoken_for = format!("{} spoken for by orders in flight", limit.reserved);
            rows.push([name(), spoken_for, dash(), limit.burst.to_string(), dash(), dash()]);
        }
        for bucket in &limit.buckets {
            rows.push([
                name(),
                bucket.key.clone(),
                bucket.remaining.to_string(),
                limit.burst.to_string(),
                bucket.next_token_at.to_string(),
                bucket.full_at.to_string(),
            ]);
        }
        let hidden = limit.buckets_touched.saturating_sub(limit.buckets.len() as u64);
        let others = if hidden > 0 { format!("{hidden} others, fuller") } else { "all others".to_owned() };
        let left = if hidden > 0 { dash() } else { limit.burst.to_string() };
        rows.push([name(), others, left, limit.burst.to_string(), dash(), dash()]);
    }
    rows
}
