use proptest::prelude::*;

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("fixtures/", $name, ".pem"))
    };
}

fn wanted(names: &[&str]) -> Identifiers {
    Identifiers::new(names.iter().map(|name| Hostname::parse(name).expect(name))).expect("names")
}

fn both() -> Identifiers {
    wanted(&["a.com", "www.a.com"])
}

#[test]
fn what_cas_certify_is_taken() {
    for (pem, kind) in [
        (fixture!("p256"), KeyKind::EcdsaP256),
        (fixture!("p384"), KeyKind::EcdsaP384),
        (fixture!("p384_sha256"), KeyKind::EcdsaP384),
        (fixture!("rsa2048"), KeyKind::Rsa2048),
        (fixture!("rsa3072"), KeyKind::Rsa3072),
        (fixture!("rsa4096"), KeyKind::Rsa4096),
        (fixture!("common_name"), KeyKind::EcdsaP256),
        (fixture!("upper_case"), KeyKind::EcdsaP256),
    ] {
        let request = CheckedRequest::from_pem(pem).expect("a good one");
        assert_eq!((request.key_kind, &request.names), (kind, &both()));
        assert_eq!(request.check_names(&both()), Ok(()));
        assert_eq!(spki_sha256_of(&request.der), Some(request.spki_sha256));
    }
    let old_label = fixture!("p256").replace(" CERTIFICATE REQUEST", " NEW CERTIFICATE REQUEST");
    assert!(CheckedRequest::from_pem(&old_label).is_ok());
}

#[test]
fn what_cas_refuse_is_refused_for_its_own_reason() {
    for (pem, code) in [
        (fixture!("p521"), "csr-key-curve"),
        (fixture!("secp256k1"), "csr-key-curve"),
        (fixture!("ed25519"), "csr-key-type"),
        (fixture!("rsa1024"), "csr-key-size"),
        (fixture!("rsa2056"), "csr-key-size"),
        (fixture!("rsa2048_e3"), "csr-key-exponent"),
        (fixture!("close_primes"), "csr-weak-key"),
        (fixture!("roca"), "csr-weak-key"),
        (fixture!("sha1"), "csr-broken-signature-algorithm"),
        (fixture!("md5"), "csr-broken-signature-algorithm"),
        (fixture!("pss"), "csr-unknown-signature-algorithm"),
        (fixture!("ip_san"), "csr-not-dns-name"),
        (fixture!("email_san"), "csr-not-dns-name"),
        (fixture!("no_san"), "csr-without-names"),
        (fixture!("other_common_name"), "csr-common-name"),
        (fixture!("ca_true"), "csr-for-ca"),
        (fixture!("must_staple"), "csr-must-staple"),
        ("", "csr-not-pem"),
        ("no PEM", "csr-not-pem"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "csr-malformed"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "csr-is-private-key"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "csr-not-pem"),
    ] {
        let refused = CheckedRequest::from_pem(pem).expect_err(code);
        assert_eq!(refused.code(), code, "{refused}");
    }
    let two = fixture!("p256").repeat(2);
    assert_eq!(CheckedRequest::from_pem(&two), Err(RequestError::Pem));
    assert_eq!(CheckedRequest::from_pem(&" ".repeat(REQUEST_BYTES_MAX + 1)), Err(RequestError::TooLarge));
    assert_eq!(
        CheckedRequest::from_pem(fixture!("roca")),
        Err(RequestError::WeakKey(Weakness::Roca)),
        "and not for close primes"
    );
}

#[test]
fn it_is_for_exactly_the_wanted_names() {
    let request = CheckedRequest::from_pem(fixture!("extra_san")).expect("in itself a good one");
    let refused = request.check_names(&both()).expect_err("one more");
    assert_eq!((refused.code(), refused.to_string().contains("evil.org")), ("csr-other-names", true));
    let request = CheckedRequest::from_pem(fixture!("p256")).expect("a good one");
    let refused = request.check_names(&wanted(&["a.com", "shop.a.com"])).expect_err("another");
    assert_eq!(
        refused.to_string(),
        "the request is for other names: it lacks shop.a.com and has www.a.com too"
    );
}

#[test]
fn a_request_that_was_changed_is_not_signed_by_its_key() {
    let der = CheckedRequest::from_pem(fixture!("p256")).expect("a good one").der;
    let text = b"www.a.com";
    let place = der.windows(text.len()).position(|part| part == text).expect("it names it");
    let mut changed = der.clone();
    changed[place] = b'v';
    assert_eq!(CheckedRequest::from_der(changed), Err(RequestError::BadSignature));
    let mut longer = der;
    longer.push(0);
    assert_eq!(CheckedRequest::from_der(longer), Err(RequestError::Malformed));
}

proptest! {
    /// Whatever one byte is changed to, it is another request, and no longer signed; and nothing falls over.
    #[test]
    fn no_byte_can_be_changed(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let good = CheckedRequest::from_pem(fixture!("p256")).expect("a good one");
        let mut der = good.der.clone();
        let place = place.index(der.len());
        prop_assume!(der[place] != byte);
        der[place] = byte;
        prop_assert!(CheckedRequest::from_der(der).is_err());
    }

    #[test]
    fn anything_else_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(CheckedRequest::from_der(bytes).is_err());
    }
}
