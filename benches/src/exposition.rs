//! Reads what the service has measured of itself, from the text format of Prometheus.

use std::collections::BTreeMap;

/// A histogram's sum and how many samples made it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Summed {
    pub seconds: f64,
    pub count: f64,
}

/// One scrape.
#[derive(Debug, Clone, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    pub fn new(text: String) -> Self {
        Self { text }
    }

    /// The sum of a metric over all its labels.
    pub fn total(&self, metric: &str) -> f64 {
        self.samples(metric).map(|(_, value)| value).sum()
    }

    /// A histogram by the values of one of its labels.
    pub fn histogram_by(&self, metric: &str, label: &str) -> BTreeMap<String, Summed> {
        let mut by_value: BTreeMap<String, Summed> = BTreeMap::new();
        for (labels, value) in self.samples(&format!("{metric}_sum")) {
            by_value.entry(label_value(labels, label)).or_default().seconds += value;
        }
        for (labels, value) in self.samples(&format!("{metric}_count")) {
            by_value.entry(label_value(labels, label)).or_default().count += value;
        }
        by_value
    }

    /// A histogram over all its labels.
    pub fn histogram(&self, metric: &str) -> Summed {
        Summed {
            seconds: self.total(&format!("{metric}_sum")),
            count: self.total(&format!("{metric}_count")),
        }
    }

    fn samples<'a>(&'a self, metric: &str) -> impl Iterator<Item = (&'a str, f64)> {
        self.text.lines().filter_map(move |line| {
            let (sample, value) = line.rsplit_once(' ')?;
            let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
            (name == metric).then_some((labels, value.parse().ok()?))
        })
    }
}

fn label_value(labels: &str, label: &str) -> String {
    let wanted = labels.trim_end_matches('}').split(',').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (name == label).then(|| value.trim_matches('"').to_owned())
    });
    wanted.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE steps histogram\n\
        steps_bucket{step=\"place\",le=\"1\"} 4\n\
        steps_sum{step=\"place\"} 0.5\n\
        steps_count{step=\"place\"} 4\n\
        steps_sum{ca=\"x\",step=\"submit\"} 1.5\n\
        steps_count{ca=\"x\",step=\"submit\"} 2\n\
        commits_total 12\n";

    #[test]
    fn sums_and_counts_are_read_by_label_and_over_all() {
        let exposition = Exposition::new(TEXT.to_owned());
        let by_step = exposition.histogram_by("steps", "step");
        assert_eq!(by_step["place"], Summed { seconds: 0.5, count: 4.0 });
        assert_eq!(by_step["submit"], Summed { seconds: 1.5, count: 2.0 });
        assert_eq!(exposition.histogram("steps"), Summed { seconds: 2.0, count: 6.0 });
        assert!((exposition.total("commits_total") - 12.0).abs() < f64::EPSILON);
        assert!(exposition.total("commits").abs() < f64::EPSILON);
    }
}
