//! How a certificate fares on a server, by what its agent tells.

/// One word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeploymentState {
    /// Installed, and served wherever it was looked for.
    Deployed,
    /// Installed, and somewhere another certificate or none is served.
    NotServed,
    /// Something went wrong on the server: with files, a hook or a reload; or nothing is installed.
    Failed,
}

impl DeploymentState {
    pub const ALL: [Self; 3] = [Self::Deployed, Self::NotServed, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployed => "deployed",
            Self::NotServed => "not_served",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// `installed`: the fingerprint of what lies in files. `seen`: what each look has shown, `None` where none was.
    pub fn of(installed: Option<&str>, is_faulty: bool, seen: &[Option<&str>]) -> Self {
        match installed {
            None => Self::Failed,
            Some(_) if is_faulty => Self::Failed,
            Some(installed) if seen.iter().all(|shown| *shown == Some(installed)) => Self::Deployed,
            Some(_) => Self::NotServed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_outweighs_what_lies_in_files_and_a_fault_outweighs_both() {
        let of = DeploymentState::of;
        assert_eq!(of(Some("a"), false, &[]), DeploymentState::Deployed);
        assert_eq!(of(Some("a"), false, &[Some("a"), Some("a")]), DeploymentState::Deployed);
        assert_eq!(of(Some("a"), false, &[Some("a"), Some("b")]), DeploymentState::NotServed);
        assert_eq!(of(Some("a"), false, &[None]), DeploymentState::NotServed);
        assert_eq!(of(Some("a"), true, &[Some("a")]), DeploymentState::Failed);
        assert_eq!(of(None, false, &[]), DeploymentState::Failed);
        for state in DeploymentState::ALL {
            assert_eq!(DeploymentState::parse(state.as_str()), Some(state));
        }
        assert_eq!(DeploymentState::parse("stale"), None);
    }
}
