//! A rehearsal CA over HTTPS in a world where every name leads to this machine: point `certbot` or `lego`
//! at it.
//!
//! ```text
//! cargo run -p rehearsal --example loopback_ca -- 127.0.0.1:14000 5002 /tmp/rehearsal-roots
//! ```
//!
//! The arguments are where to listen, the port on which HTTP-01 is validated, and a folder that receives
//! `tls-root.pem` (trust it to talk to the CA) and `root.pem` (issued chains verify against it).

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use hickory_proto::op::{Message, OpCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record, RecordType};
use rehearsal::ca::{CaConfig, RehearsalCa};
use tokio::net::UdpSocket;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen =
        arguments.next().map_or(Ok(SocketAddr::from(([127, 0, 0, 1], 14_000))), |text| text.parse())?;
    let http_port = arguments.next().map_or(Ok(5_002), |text| text.parse())?;
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| ".".to_owned()));

    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let dns = socket.local_addr()?;
    tokio::spawn(answer(socket));

    let config = CaConfig { listen, tls: true, dns: Some(dns), http_port, ..CaConfig::default() };
    let ca = RehearsalCa::start(config).await?;
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("root.pem"), ca.root_pem())?;
    std::fs::write(folder.join("tls-root.pem"), ca.tls_root_pem().unwrap_or_default())?;
    #[expect(clippy::print_stdout, reason = "this is what the example is started for")]
    {
        println!("{}", ca.directory_url());
    }
    ca.serve_until(async { drop(tokio::signal::ctrl_c().await) }).await;
    Ok(())
}

/// Every name has one A record, 127.0.0.1, and nothing else.
async fn answer(socket: UdpSocket) {
    let mut buffer = [0; 1_500];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
        let Ok(question) = Message::from_vec(&buffer[..length]) else { continue };
        let mut reply = Message::response(question.metadata.id, OpCode::Query);
        for query in &question.queries {
            reply.add_query(query.clone());
            if query.query_type() == RecordType::A {
                let here = RData::A(A(Ipv4Addr::LOCALHOST));
                reply.add_answer(Record::from_rdata(query.name().clone(), 0, here));
            }
        }
        if let Ok(bytes) = reply.to_vec() {
            // A lost answer is asked for again.
            drop(socket.send_to(&bytes, peer).await);
        }
    }
}
