//! Programs of others that we call: a DNS provider's, a server's reload, a hook.
//!
//! No shell is between. A program has so long, says so much, and everything it has started is killed when that is over.

use std::ffi::OsStr;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

/// What is kept of what a program says, of each stream; the rest is read and dropped.
const OUTPUT_BYTES_MAX: usize = 4_096;
/// Where programs look for others.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program that has ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub status: ExitStatus,
    /// The last line it said, by preference the last of its complaints.
    pub last_line: String,
}

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("it cannot be started")]
    Start(#[source] io::Error),
    #[error("it cannot be waited for")]
    Wait(#[source] io::Error),
    #[error("it has not ended within {} ms and was killed", within.as_millis())]
    Timeout { within: Duration },
}

/// A program with the variables it is given and a path to search, and nothing of ours.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", PATH).current_dir("/");
    command
}

/// Calls it and waits. Whoever drops this call ends everything that it has started.
pub async fn call(mut command: Command, within: Duration) -> Result<Ended, CallError> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(CallError::Start)?;
    let group = Group(child.id());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let ended =
        tokio::time::timeout(within, async { tokio::join!(child.wait(), beginning(out), beginning(err)) });
    let Ok((status, out, err)) = ended.await else { return Err(CallError::Timeout { within }) };
    drop(group);
    let said = if err.trim().is_empty() { out } else { err };
    let last_line = said.trim().lines().next_back().unwrap_or_default().to_owned();
    Ok(Ended { status: status.map_err(CallError::Wait)?, last_line })
}

/// A process group that ends with this.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let leader = self.0.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(leader) = leader {
            // It is gone already where the program ended by itself and left nobody behind.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

async fn beginning(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let (mut kept, mut buffer) = (Vec::new(), [0; 1_024]);
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        let room = OUTPUT_BYTES_MAX - kept.len();
        kept.extend_from_slice(&buffer[..length.min(room)]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}
