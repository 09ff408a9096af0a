//! Housekeeping that looks, repairs and reports. It takes no input.
