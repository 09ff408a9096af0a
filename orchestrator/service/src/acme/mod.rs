//! Speaks RFC 8555: accounts and directory through instant-acme, the order path through a thin layer of its own.
