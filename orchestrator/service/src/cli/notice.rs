/// Tells the person at the terminal something that is no result.
#[expect(clippy::print_stderr, reason = "results go to standard output, everything else here")]
pub(super) fn notice(text: &str) {
    eprintln!("{text}");
}
