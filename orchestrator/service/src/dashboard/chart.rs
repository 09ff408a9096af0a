//! Pictures: gauges and strips as SVG, which need no script; and tables of points, of which a script makes a chart that
//! can be zoomed.

use issuance::time::Timestamp;
use maud::{Markup, html};
use serde_json::json;

use crate::store::campaigns::view::BurnDownPoint;
use crate::store::fleet_samples::BacklogPoint;

/// How much of something is left, of all of it; `wanted` of it is asked for already.
pub(super) fn gauge(label: &str, left: f64, all: f64, wanted: f64) -> Markup {
    const WIDTH: f64 = 240.0;
    let share = |amount: f64| if all > 0.0 { (amount / all).clamp(0.0, 1.0) * WIDTH } else { 0.0 };
    let class = match left / all.max(1.0) {
        ratio if ratio < 0.1 => "bad",
        ratio if ratio < 0.25 => "attention",
        _ => "good",
    };
    html! {
        svg.gauge viewBox="0 0 240 16" preserveAspectRatio="none" role="img" aria-label=(format!("{label}: {left:.0} of {all:.0} left, {wanted:.0} wanted")) {
            rect.track x="0" y="2" width="240" height="12" rx="4" {}
            rect.(class) x="0" y="2" width=(format!("{:.1}", share(left))) height="12" rx="4" {}
            @if wanted > 0.0 {
                rect.demand x="0" y="11" width=(format!("{:.1}", share(wanted))) height="3" {}
            }
        }
    }
}

/// One bar a day.
pub(super) fn strip(label: &str, days: &[u64], from: Timestamp) -> Markup {
    const HEIGHT: f64 = 64.0;
    const STEP: usize = 20;
    let most = days.iter().copied().max().unwrap_or(0).max(1) as f64;
    let day = |place: usize| {
        let at = from.after(std::time::Duration::from_hours(24) * place as u32).to_string();
        at.get(..10).map(str::to_owned).unwrap_or(at)
    };
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) {
            svg.strip viewBox=(format!("0 0 {} 80", days.len() * STEP)) role="img"
                aria-label=(format!("{label}: {} in {} days, at the most {most:.0} in one", days.iter().sum::<u64>(), days.len())) {
                @for (place, amount) in days.iter().enumerate() {
                    @let height = *amount as f64 / most * HEIGHT;
                    g {
                        title { (day(place)) ": " (amount) }
                        rect.track x=(place * STEP + 2) y="0" width="16" height="64" {}
                        rect.phase x=(place * STEP + 2) y=(format!("{:.1}", HEIGHT - height)) width="16" height=(format!("{height:.1}")) {}
                        @if place % 7 == 0 { text.quiet x=(place * STEP + 2) y="78" { (day(place).get(5..).unwrap_or_default()) } }
                    }
                }
            }
        }
    }
}

/// The backlog as it was, and as it goes down at the pace that the CA allows. The script draws it; without one, the table
/// below says the same.
pub(super) fn burn_down(points: &[BacklogPoint], done_at: Option<Timestamp>) -> Markup {
    let mut times: Vec<i64> = points.iter().map(|point| point.at.unix_seconds()).collect();
    let mut waiting: Vec<Option<u64>> = points.iter().map(|point| Some(point.waiting)).collect();
    let mut at_the_ca: Vec<Option<u64>> = points.iter().map(|point| Some(point.at_the_ca)).collect();
    let mut ahead: Vec<Option<u64>> = vec![None; points.len()];
    if let (Some(last), Some(done_at)) = (points.last(), done_at)
        && let Some(end) = ahead.last_mut()
    {
        *end = Some(last.waiting);
        times.push(done_at.unix_seconds());
        waiting.push(None);
        at_the_ca.push(None);
        ahead.push(Some(0));
    }
    let data = json!({
        "times": times,
        "series": [
            { "label": "waiting", "points": waiting },
            { "label": "at the CA", "points": at_the_ca },
            { "label": "at the CA's pace", "points": ahead, "dashed": true },
        ],
    });
    html! { div.chart data-chart=(data.to_string()) aria-hidden="true" {} }
}

/// A campaign as it went down, as it goes on at its pace, and as it would have to go to be done in time.
pub(super) fn against_deadline(
    points: &[BurnDownPoint],
    deadline: Timestamp,
    done_at: Option<Timestamp>,
) -> Markup {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return html! {} };
    let mut instants: Vec<Timestamp> = points.iter().map(|point| point.at).collect();
    instants.push(deadline);
    instants.extend(done_at);
    instants.sort_unstable();
    instants.dedup();
    let at = |instant: Timestamp| points.iter().find(|point| point.at == instant);
    let remaining: Vec<Option<u32>> =
        instants.iter().map(|one| at(*one).map(|point| point.remaining)).collect();
    let along = |from: &BurnDownPoint, end: Option<Timestamp>| -> Vec<Option<u32>> {
        let ends = |one: &Timestamp| Some(*one) == end && *one > from.at;
        instants
            .iter()
            .map(|one| if *one == from.at { Some(from.remaining) } else { ends(one).then_some(0) })
            .collect()
    };
    let times: Vec<i64> = instants.iter().map(|one| one.unix_seconds()).collect();
    let data = json!({
        "times": times,
        "series": [
            { "label": "to be replaced", "points": remaining },
            { "label": "at this pace", "points": along(last, done_at), "dashed": true },
            { "label": "to be in time", "points": along(first, Some(deadline)), "dashed": true },
        ],
    });
    html! { div.chart data-chart=(data.to_string()) aria-hidden="true" {} }
}
