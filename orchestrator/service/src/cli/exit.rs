use std::process::ExitCode;

/// How a command ended, for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done,
    Failure,
    Usage,
    NotFound,
    Conflict,
    Partial,
    Unauthorized,
    Deferred,
    Unreachable,
}

impl Exit {
    pub const ALL: [Self; 9] = [
        Self::Done,
        Self::Failure,
        Self::Usage,
        Self::NotFound,
        Self::Conflict,
        Self::Partial,
        Self::Unauthorized,
        Self::Deferred,
        Self::Unreachable,
    ];

    /// Never changes its meaning from one release to the next.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Conflict => 4,
            Self::Partial => 5,
            Self::Unauthorized => 6,
            Self::Deferred => 7,
            Self::Unreachable => 8,
        }
    }

    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failure => "failed",
            Self::Usage => "the arguments or the configuration are wrong",
            Self::NotFound => "there is no such thing",
            Self::Conflict => "the present state forbids it",
            Self::Partial => "done in part: the output says what was not",
            Self::Unauthorized => "the token is missing, wrong, or may not do this",
            Self::Deferred => "a limit of the CA defers it: the output says until when",
            Self::Unreachable => "the service or the database cannot be reached",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

pub(super) const HELP: &str = "\
Exit codes:
  0  done
  1  failed
  2  the arguments or the configuration are wrong
  3  there is no such thing
  4  the present state forbids it
  5  done in part: the output says what was not
  6  the token is missing, wrong, or may not do this
  7  a limit of the CA defers it: the output says until when
  8  the service or the database cannot be reached";
