use tokio::sync::watch;

/// Whether this process should be sent work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// Says why, for whoever looks.
    NotReady(&'static str),
}

/// Where whoever runs the process says whether it is ready.
#[derive(Debug)]
pub struct ReadinessGate(watch::Sender<Readiness>);

/// Where `/readyz` looks.
#[derive(Debug, Clone)]
pub struct ReadinessWatch(watch::Receiver<Readiness>);

/// Not ready yet.
pub fn readiness() -> (ReadinessGate, ReadinessWatch) {
    let (sender, receiver) = watch::channel(Readiness::NotReady("starting"));
    (ReadinessGate(sender), ReadinessWatch(receiver))
}

impl ReadinessGate {
    pub fn set(&self, readiness: Readiness) {
        self.0.send_replace(readiness);
    }
}

impl ReadinessWatch {
    /// A process whose gate is gone is on its way out.
    pub fn now(&self) -> Readiness {
        if self.0.has_changed().is_err() {
            return Readiness::NotReady("stopping");
        }
        self.0.borrow().clone()
    }
}
