//! RSA keys that others can factor. What CAs look for, looked for before anything is ordered.

use num_bigint::BigUint;

/// Why a modulus is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    /// It has a small prime factor.
    SmallFactor,
    /// Its primes were made by the Infineon library that CVE-2017-15361 (ROCA) is about.
    Roca,
    /// Its primes are so close to each other that Fermat's method finds them (CVE-2022-26320).
    ClosePrimes,
}

impl Weakness {
    /// What is wrong, for whoever made the key.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SmallFactor => "its modulus has a small factor",
            Self::Roca => "it was made by a faulty library (CVE-2017-15361, ROCA)",
            Self::ClosePrimes => "its primes are too close to each other (CVE-2022-26320)",
        }
    }
}

/// Primes up to this are tried as factors: as far as Boulder goes.
const SMALL_PRIMES_BELOW: u32 = 752;
/// The fingerprint of ROCA is looked for below this: enough that no other key has it by chance.
const ROCA_PRIMES_BELOW: u32 = 168;
/// The generator of all of its primes.
const ROCA_GENERATOR: u32 = 65_537;
/// Boulder's number: keys of the faulty generator fall in the first few rounds.
const FERMAT_ROUNDS: u32 = 110;

/// `modulus`: big-endian.
pub(super) fn find(modulus: &[u8]) -> Option<Weakness> {
    let modulus = BigUint::from_bytes_be(modulus);
    let rest = |prime: u32| {
        let digits = (&modulus % prime).to_u32_digits();
        digits.first().copied().unwrap_or(0)
    };
    if primes_below(SMALL_PRIMES_BELOW).any(|prime| rest(prime) == 0) {
        return Some(Weakness::SmallFactor);
    }
    if primes_below(ROCA_PRIMES_BELOW).all(|prime| is_power_of_generator(rest(prime), prime)) {
        return Some(Weakness::Roca);
    }
    has_close_primes(&modulus).then_some(Weakness::ClosePrimes)
}

fn primes_below(bound: u32) -> impl Iterator<Item = u32> {
    (2..bound)
        .filter(|number| (2..*number).take_while(|d| d * d <= *number).all(|d| !number.is_multiple_of(d)))
}

/// Whether `rest` is some power of the generator modulo `prime`.
fn is_power_of_generator(rest: u32, prime: u32) -> bool {
    let mut power = 1 % prime;
    for _ in 0..prime {
        if power == rest {
            return true;
        }
        power = power * (ROCA_GENERATOR % prime) % prime;
    }
    false
}

/// n = a² − b² with a just above the root of n, if the primes are close: b² is a square soon.
fn has_close_primes(modulus: &BigUint) -> bool {
    let mut a = modulus.sqrt();
    if &(&a * &a) < modulus {
        a += 1_u32;
    }
    for _ in 0..FERMAT_ROUNDS {
        let b_squared = &a * &a - modulus;
        let b = b_squared.sqrt();
        if &b * &b == b_squared {
            return true;
        }
        a += 1_u32;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_that_is_easily_taken_apart_is_found_out() {
        // The Mersenne primes 2^127 - 1 and 2^521 - 1, and neighbours of the first.
        let large = BigUint::from(2_u8).pow(127) - 1_u8;
        let far = BigUint::from(2_u8).pow(521) - 1_u8;
        assert_eq!(find(&(&large * &far).to_bytes_be()), None);
        assert_eq!(find(&(&large * 743_u32).to_bytes_be()), Some(Weakness::SmallFactor));
        assert_eq!(find(&(&large * &large).to_bytes_be()), Some(Weakness::ClosePrimes));
    }

    #[test]
    fn the_primes_are_the_primes() {
        assert_eq!(primes_below(30).collect::<Vec<_>>(), [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert_eq!(primes_below(SMALL_PRIMES_BELOW).last(), Some(751));
    }
}
