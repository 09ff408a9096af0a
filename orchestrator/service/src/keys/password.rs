//! Passwords of people: kept as Argon2id (RFC 9106) with the parameters of its authors' first recommendation that fits a
//! service: 19 MiB, two passes.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use secrecy::{ExposeSecret as _, SecretString};

/// NIST SP 800-63B §3.1.1.2 asks for no less of one that stands alone, and for no rules about letters and digits.
pub const CHARS_MIN: usize = 15;
pub const CHARS_MAX: usize = 256;

/// Of a password that nobody has: what is compared where there is no such user, so that the time tells nothing.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXRoaW5nIHNhbHR5$4vK1bQWm2RKhrJ0y7wzbDLZJ0nJt7sY2c0q2m3N1sWQ";

#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed: {0}")]
pub struct PasswordError(String);

/// As a row has it: a PHC string. Takes a processor for a good part of a second.
pub fn hash(password: &SecretString) -> Result<String, PasswordError> {
    let hash = Argon2::default().hash_password(password.expose_secret().as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| PasswordError(error.to_string()))
}

/// Whether it is the one. Takes as long with `None` as with one that is wrong.
pub fn verify(password: &SecretString, kept: Option<&SecretString>) -> bool {
    let text = kept.map_or(NOBODYS, |kept| kept.expose_secret());
    let Ok(parsed) = PasswordHash::new(text) else { return false };
    let same = Argon2::default().verify_password(password.expose_secret().as_bytes(), &parsed).is_ok();
    same && kept.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_again_and_another_is_not() {
        let right = SecretString::from("of fifteen letters");
        let kept = SecretString::from(hash(&right).expect("hashed"));
        assert!(kept.expose_secret().starts_with("$argon2id$"), "{}", kept.expose_secret());
        assert!(verify(&right, Some(&kept)));
        assert!(!verify(&SecretString::from("of fifteen letterS"), Some(&kept)));
        assert!(!verify(&right, None));
        assert!(PasswordHash::new(NOBODYS).is_ok(), "or it would be quicker");
        assert_ne!(hash(&right).expect("hashed"), kept.expose_secret(), "each has a salt of its own");
    }
}
