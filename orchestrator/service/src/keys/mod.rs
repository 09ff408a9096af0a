//! Keys: sealed at rest, and the requests made with them.
