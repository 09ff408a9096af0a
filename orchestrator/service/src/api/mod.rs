//! The REST API: one endpoint, one file. A handler extracts, calls, renders.
