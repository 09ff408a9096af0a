//! Claims due orders and performs their steps, one request at a time.
