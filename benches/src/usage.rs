//! What processes have used, as `/proc` tells it (proc(5)).

use std::fs;
use std::io;
use std::time::Duration;

/// Ticks of `/proc/<pid>/stat` to a second; Linux fixes it for user space.
const TICKS_PER_SECOND: u64 = 100;

/// Processor time of one process, its ended children not included.
pub fn cpu(pid: u32) -> io::Result<Duration> {
    Ok(ticks(Stat::read(pid)?.own))
}

/// Processor time of a process and of all its children, those that have ended included.
pub fn cpu_with_children(pid: u32) -> io::Result<Duration> {
    let parent = Stat::read(pid)?;
    // A child that ends between the two looks is missed once; it had lived for the run's last moment.
    let living: u64 =
        children(pid)?.into_iter().filter_map(|child| Stat::read(child).ok()).map(|child| child.own).sum();
    Ok(ticks(parent.own + parent.ended_children + living))
}

/// The most memory a process ever had resident, in bytes.
pub fn peak_memory(pid: u32) -> io::Result<u64> {
    field(&format!("/proc/{pid}/status"), "VmHWM:")
}

/// The memory a process has resident now, in bytes.
pub fn resident_memory(pid: u32) -> io::Result<u64> {
    field(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// Memory of a process and its living children, in bytes; pages that several of them share are counted once.
pub fn memory_with_children(pid: u32) -> io::Result<u64> {
    let mut bytes = field(&format!("/proc/{pid}/smaps_rollup"), "Pss:")?;
    for child in children(pid)? {
        bytes += field(&format!("/proc/{child}/smaps_rollup"), "Pss:").unwrap_or(0);
    }
    Ok(bytes)
}

struct Stat {
    parent: u32,
    own: u64,
    ended_children: u64,
}

impl Stat {
    fn read(pid: u32) -> io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Self::parse(&text)
            .ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat is not what proc(5) says")))
    }

    fn parse(text: &str) -> Option<Self> {
        // The program's name stands in parentheses and may hold anything.
        let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(number(1)?).ok()?,
            own: number(11)? + number(12)?,
            ended_children: number(13)? + number(14)?,
        })
    }
}

fn children(of: u32) -> io::Result<Vec<u32>> {
    let entries = fs::read_dir("/proc")?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    Ok(pids.filter(|pid| Stat::read(*pid).is_ok_and(|stat| stat.parent == of)).collect())
}

fn field(path: &str, name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    let kilobytes = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes
        .map(|kilobytes| kilobytes * 1024)
        .ok_or_else(|| io::Error::other(format!("{path} has no {name}")))
}

fn ticks(count: u64) -> Duration {
    Duration::from_millis(count * 1_000 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat =
            Stat::parse("7 (a) b (c) S 3 7 7 0 -1 4194304 9 9 0 0 150 50 20 10 20 0 1 0 9 9 9").unwrap();
        assert_eq!((stat.parent, stat.own, stat.ended_children), (3, 200, 30));
    }

    #[test]
    fn this_process_can_be_measured() {
        let pid = std::process::id();
        assert!(peak_memory(pid).unwrap() > 1_000_000);
        assert!(memory_with_children(pid).unwrap() > 0);
        // In this order: the clock runs on between the two looks.
        let own = cpu(pid).unwrap();
        assert!(cpu_with_children(pid).unwrap() >= own);
    }
}
