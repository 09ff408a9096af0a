//! Configuration, parsed into sections.
