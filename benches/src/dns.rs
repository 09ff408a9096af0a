//! A DNS server to which every name is 127.0.0.1, where the responder under test listens: the cheapest fleet
//! there is, so that it takes little of the machine from those who are measured.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// RFC 1035 §4.1.1.
const HEADER_BYTES: usize = 12;
const TYPE_A: [u8; 2] = [0, 1];
const TYPE_AND_CLASS_BYTES: usize = 4;
/// A pointer to the question's name; type A, class IN, no time to live, four bytes: 127.0.0.1.
const ANSWER: [u8; 16] = [0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1];

/// A running server. Dropped, it stops.
#[derive(Debug)]
pub struct Dns {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Dns {
    pub async fn start() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = socket.local_addr()?;
        let task = tokio::spawn(async move {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question).await {
                if let Some(answer) = answer(&question[..length]) {
                    // Whoever asked and is gone has lost nothing.
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        Ok(Self { address, task })
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The answer to a query of one question: an address, or, for any other type, nothing of that type.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let mut end = HEADER_BYTES;
    while *query.get(end)? != 0 {
        end += usize::from(query[end]) + 1;
    }
    let question_type = query.get(end + 1..end + 3)?;
    let question = query.get(..end + 1 + TYPE_AND_CLASS_BYTES)?;
    let mut answer = question.to_vec();
    // A response, authoritative, to a recursive question if it was one (RFC 1035 §4.1.1).
    answer[2] = 0x84 | (query[2] & 1);
    answer[3] = 0;
    let is_address = question_type == TYPE_A;
    // One question; one answer or none; no more records.
    answer[4..HEADER_BYTES].copy_from_slice(&[0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
    if is_address {
        answer.extend_from_slice(&ANSWER);
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(question_type: u8) -> Vec<u8> {
        let mut query = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        query.extend_from_slice(b"\x04shop\x03com\0");
        query.extend_from_slice(&[0, question_type, 0, 1, 0, 0, 41]);
        query
    }

    #[test]
    fn an_address_is_answered_and_any_other_type_is_empty() {
        let address = answer(&query(1)).unwrap();
        assert_eq!(address[..2], [7, 9]);
        assert_eq!(address[7], 1);
        assert!(address.ends_with(&[127, 0, 0, 1]));
        let ipv6 = answer(&query(28)).unwrap();
        assert_eq!(ipv6[7], 0);
        assert_eq!(ipv6.len(), 12 + 10 + 4);
    }

    #[test]
    fn a_torn_query_is_not_answered() {
        assert_eq!(answer(&query(1)[..15]), None);
        assert_eq!(answer(&[]), None);
    }
}
