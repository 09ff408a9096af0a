//! One HTTP port for the whole fleet.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rand::Rng;
use tokio::net::TcpListener;

use super::{FIREWALLED_ADDRESS, FleetError, REFUSING_ADDRESS};

/// Below the ports that the kernel gives to outgoing connections, so that none of those takes it
/// on an address where we leave it free.
const CANDIDATES: std::ops::Range<u16> = 10_000..32_000;
const CANDIDATES_MAX: u32 = 256;

/// Binds the port on each address; `None` finds one that is free on all of them, and on those where the
/// fleet or its users expect it free.
pub(super) async fn bind_all(
    addresses: &[Ipv4Addr],
    wanted: Option<u16>,
) -> Result<(u16, Vec<TcpListener>), FleetError> {
    if let Some(port) = wanted {
        return Ok((port, bind(addresses, port).await?));
    }
    let mut attempt = 0;
    loop {
        attempt += 1;
        let port = rand::rng().random_range(CANDIDATES);
        match bind_where_free(addresses, port).await {
            Ok(listeners) => return Ok((port, listeners)),
            Err(FleetError::Bind { source, .. })
                if source.kind() == io::ErrorKind::AddrInUse && attempt < CANDIDATES_MAX => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether the machine has an IPv6 loopback.
pub(super) async fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok()
}

async fn bind_where_free(addresses: &[Ipv4Addr], port: u16) -> Result<Vec<TcpListener>, FleetError> {
    let listeners = bind(addresses, port).await?;
    let left_free = bind(&[REFUSING_ADDRESS, FIREWALLED_ADDRESS, Ipv4Addr::LOCALHOST], port).await?;
    if has_ipv6().await {
        bind_one(Ipv6Addr::LOCALHOST.into(), port).await?;
    }
    drop(left_free);
    Ok(listeners)
}

async fn bind(addresses: &[Ipv4Addr], port: u16) -> Result<Vec<TcpListener>, FleetError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for &address in addresses {
        listeners.push(bind_one(address.into(), port).await?);
    }
    Ok(listeners)
}

async fn bind_one(address: IpAddr, port: u16) -> Result<TcpListener, FleetError> {
    TcpListener::bind((address, port))
        .await
        .map_err(|source| FleetError::Bind { address: (address, port).into(), source })
}
