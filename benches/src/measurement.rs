//! What one run showed.

use std::time::Duration;

use crate::exposition::Exposition;

/// One run of one contestant against one fresh CA.
#[derive(Debug, Clone)]
pub struct Measurement {
    pub certificates: usize,
    /// From the first name handed over to the last certificate in hand (of the service: committed).
    pub took: Duration,
    pub ca_cpu: Duration,
    /// This process: the whole client of the bare loop; beside the service its DNS server and its clock.
    pub bench_cpu: Duration,
    /// Bytes.
    pub ca_memory: u64,
    /// Sent to the CA.
    pub requests: u64,
    pub service: Option<ServiceMeasurement>,
}

/// What only a service with a database has.
#[derive(Debug, Clone)]
pub struct ServiceMeasurement {
    pub service_cpu: Duration,
    pub postgres_cpu: Duration,
    /// Bytes, at the most.
    pub service_memory: u64,
    /// Bytes, at the end of the run.
    pub postgres_memory: u64,
    /// Transactions that Postgres counted, those that only read included.
    pub transactions: u64,
    /// Times that Postgres forced its log to disk.
    pub disk_waits: u64,
    pub log_bytes: u64,
    /// The service's own metrics after the run.
    pub exposition: Exposition,
}

impl Measurement {
    pub fn per_second(&self) -> f64 {
        self.certificates as f64 / self.took.as_secs_f64()
    }

    pub fn each(&self, total: f64) -> f64 {
        total / self.certificates as f64
    }

    /// Milliseconds of processor time for one certificate.
    pub fn cpu_ms_each(&self, total: Duration) -> f64 {
        self.each(total.as_secs_f64() * 1_000.0)
    }

    /// Of whoever orders, without the CA: the client, or the service and its database.
    pub fn client_cpu_ms_each(&self) -> f64 {
        let total = match &self.service {
            Some(service) => service.service_cpu + service.postgres_cpu,
            None => self.bench_cpu,
        };
        self.cpu_ms_each(total)
    }
}

/// The middle of the values, and the ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// `None` of no values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { median, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middle_ones() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(Spread::of([]), None);
    }
}
