//! Every code that a problem may have. The list is closed: a new one is told in the changelog.

/// What a code tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    pub code: &'static str,
    /// The statuses that it comes with.
    pub statuses: &'static str,
    /// What it means, and what to do about it.
    pub meaning: &'static str,
}

const fn code(code: &'static str, statuses: &'static str, meaning: &'static str) -> Code {
    Code { code, statuses, meaning }
}

/// In the order of the alphabet.
pub const CODES: &[Code] = &[
    code(
        "account-missing",
        "503",
        "the service has not registered its CA account so far; ask again after `Retry-After`",
    ),
    code(
        "already-settled",
        "409",
        "the authorization is submitted, deactivated or final: there is nothing to settle",
    ),
    code("bad-encoding", "400", "the body cannot be inflated: compress it again, or send it as it is"),
    code("body-too-large", "413", "split the request"),
    code("campaign-ended", "409", "it is done or was called off: begin another one"),
    code("certificate-paused", "409", "nothing is ordered for it while it is paused: resume it first"),
    code("conflict", "409", "it is not possible as things are; `detail` says why"),
    code("csr-needed", "409", "the certificate's key is not held here: send a new certificate request"),
    code("database-unavailable", "503", "nothing was changed; ask again after `Retry-After`"),
    code("external-id-taken", "409", "another object goes by this external id"),
    code("file-too-large", "413", "split the file, each part with the header"),
    code("forbidden-scope", "403", "the key is good and does not open this; `detail` names the scope"),
    code("hostname-free", "409", "no other tenant has the hostname: wish for a certificate, and it is yours"),
    code(
        "hostname-in-use",
        "409",
        "certificates have the hostname among others: change or delete them first",
    ),
    code("hostname-own-already", "409", "the tenant has the hostname already"),
    code("hostname-owned-by-other-tenant", "409", "another tenant has the hostname: take it over by proof"),
    code(
        "idempotency-in-progress",
        "409",
        "the same request is being carried out; send it again for its answer",
    ),
    code("idempotency-key-missing", "400", "this request takes an `Idempotency-Key`"),
    code(
        "idempotency-key-reused",
        "422",
        "the `Idempotency-Key` was sent with another request: make a new one",
    ),
    code("import-invalid", "422", "the file cannot be imported; `errors` says where"),
    code("import-status", "409", "the import has gone too far for it, or not far enough"),
    code("internal", "500", "a fault of the service: report it with `request_id`"),
    code("key-not-good", "409", "the key is revoked or has expired"),
    code(
        "last-operator-key",
        "409",
        "nobody could make another key: make one with the scope `keys:manage` first",
    ),
    code("last-owner", "409", "nobody could let people sign in any more: make another owner first"),
    code("method-not-allowed", "405", "the address takes other methods: `Allow` lists them"),
    code("no-private-key", "409", "the private key is not held here"),
    code("not-acceptable", "406", "it is not served as what `Accept` asks for"),
    code("not-found", "404", "it does not exist, or the key does not see it"),
    code("not-issued-yet", "404", "no certificate has been issued so far"),
    code("nothing-to-revoke", "409", "no certificate that is still valid was issued"),
    code("order-ended", "409", "there is nothing to cancel"),
    code(
        "order-finalizing",
        "409",
        "the CA may have been asked to sign already: revoke the certificate if it must not be",
    ),
    code("order-in-hand", "409", "the order is being worked on; ask again after `Retry-After`"),
    code("order-on-its-way", "409", "the order will submit what is to be settled"),
    code("precondition-missing", "428", "send `If-Match` with the `ETag` that was read"),
    code("quota-exceeded", "429", "too many requests; go on after `Retry-After`"),
    code(
        "rotation-under-way",
        "409",
        "the key and its successor are both good: revoke the one that is not used any more",
    ),
    code(
        "selector-too-wide",
        "422",
        "more certificates have these labels than one answer holds: ask with another label",
    ),
    code(
        "tenant-not-empty",
        "409",
        "the tenant has certificates or hostnames, or an import is under way: remove them first",
    ),
    code("tenant-quota-exceeded", "409", "a quota of the tenant is used up; `limit` says which"),
    code("tenant-suspended", "409", "the tenant is suspended"),
    code("unauthenticated", "401", "there is no key, or none that is good here and now"),
    code("unsupported-encoding", "415", "send the body as it is, or with `Content-Encoding: gzip`"),
    code("unsupported-media-type", "415", "send the body with the `Content-Type` that `detail` names"),
    code(
        "upload-incomplete",
        "408",
        "the upload broke off or stood still: nothing was changed, send it again",
    ),
    code(
        "validation-failed",
        "400, 422",
        "the request is wrong; `errors` says where. 400: it cannot be read. 422: it is readable and cannot be meant",
    ),
    code("version-mismatch", "412", "it was changed meanwhile: read it again"),
];

/// The code as it stands in the list; one that does not is a mistake of ours that every test meets.
pub(super) fn listed(code: &'static str) -> &'static str {
    debug_assert!(CODES.iter().any(|known| known.code == code), "the code {code} is not in the list");
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_stands_once_and_in_its_place() {
        assert!(CODES.is_sorted_by(|a, b| a.code < b.code));
    }
}
