//! Sockets that listen, and the processes that hold them, as Linux tells them in `/proc` (proc(5)).

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// `TCP_LISTEN` in the kernel's table.
const LISTENING: &str = "0A";

/// One listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    /// Its process id and name. `None`: it belongs to somebody whose files may not be looked at.
    pub(super) process: Option<(u32, String)>,
}

/// Those that listen on `port`, on whatever address.
pub(super) fn of_port(port: u16) -> io::Result<Vec<Listener>> {
    let mut sockets = Vec::new();
    for (table, is_required) in [("/proc/net/tcp", true), ("/proc/net/tcp6", false)] {
        match fs::read_to_string(table) {
            Ok(text) => sockets.extend(text.lines().skip(1).filter_map(socket)),
            // A machine without IPv6 has no such table.
            Err(error) if is_required => return Err(error),
            Err(_) => {}
        }
    }
    sockets.retain(|(address, _)| address.port() == port);
    sockets.sort_unstable();
    sockets.dedup();
    Ok(sockets.into_iter().map(|(address, inode)| Listener { address, process: holder(inode) }).collect())
}

/// Address and inode of a line of the table, if the socket listens.
fn socket(line: &str) -> Option<(SocketAddr, u64)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    if *state != LISTENING {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    // Each word of 32 bits is written as a number in the order of this machine's bytes.
    let words =
        (0..address.len()).step_by(8).map(|at| u32::from_str_radix(address.get(at..at + 8)?, 16).ok());
    let bytes: Vec<u8> =
        words.collect::<Option<Vec<u32>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect();
    let ip = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => return None,
    };
    Some((SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?), inode.parse().ok()?))
}

/// The first process that has the socket open.
fn holder(inode: u64) -> Option<(u32, String)> {
    let wanted = format!("socket:[{inode}]");
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    // A server's first process has the lowest number of those that share the socket.
    pids.sort_unstable();
    pids.into_iter().find_map(|pid| {
        let mut open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        let holds = open.any(|entry| {
            entry.is_ok_and(|entry| {
                fs::read_link(entry.path()).is_ok_and(|link| link.to_str() == Some(wanted.as_str()))
            })
        });
        let name = || fs::read_to_string(format!("/proc/{pid}/comm")).ok();
        holds.then(|| (pid, name().map_or_else(|| "?".to_owned(), |name| name.trim().to_owned())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_this_process_is_found_with_its_owner() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let address = listener.local_addr().expect("bound");
        let found = of_port(address.port()).expect("Linux");
        let [Listener { address: seen, process: Some((pid, name)) }] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!((*seen, *pid), (address, std::process::id()));
        assert!(!name.is_empty());
        drop(listener);
        assert_eq!(of_port(address.port()).expect("Linux"), []);
    }

    #[test]
    fn a_line_of_the_kernels_table_is_read() {
        let line = |local: &str, state: &str| {
            format!(
                "   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 4711 1"
            )
        };
        let loopback = u32::from_ne_bytes([127, 0, 0, 1]);
        let told = socket(&line(&format!("{loopback:08X}:0050"), "0A")).expect("a listener");
        assert_eq!(told, ("127.0.0.1:80".parse().expect("an address"), 4711));
        assert_eq!(socket(&line(&format!("{loopback:08X}:0050"), "01")), None);
        let told = socket(&line("00000000000000000000000000000000:01BB", "0A")).expect("a listener");
        assert_eq!(told.0, "[::]:443".parse().expect("an address"));
        assert_eq!(socket("nonsense"), None);
    }
}
