//! From what is listed to what lies in files.

use futures_util::StreamExt as _;
use issuance::hexadecimal::hexadecimal;
use issuance::ids::CertificateId;
use issuance::time::Clock;
use secrecy::SecretString;
use tracing::{info, warn};

use super::layout::Layouts;
use super::name;
use super::service::{BundleDocument, Item, Service, ServiceError};
use super::state::{Installed, Key, State, Version};
use crate::keys::bundle::{Bundle, Leaf, key_is_for};

/// Bundles fetched at once.
const FETCHED_AT_ONCE: usize = 8;
/// Certificates written between two writes of the state.
const SAVED_AT_ONCE: usize = 64;

/// How a list was carried out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) installed: usize,
    pub(super) failed: usize,
}

/// Fetches what is new, and writes it one after the other. `save` is called before files change and after: so whoever
/// dies in between leaves behind that a reload is due.
///
/// # Errors
/// The service went away in the middle: what was written until then stays, and the rest follows when it is back.
pub(super) async fn carry_out<E: From<ServiceError>>(
    service: &Service,
    layouts: &Layouts,
    clock: &dyn Clock,
    items: &[Item],
    state: &mut State,
    mut save: impl FnMut(&State) -> Result<(), E>,
) -> Result<Tally, E> {
    let mut tally = Tally::default();
    let is_new = |item: &&Item| {
        let installed = state.certificates.get(&Key::from(item.certificate_id));
        let version = installed.and_then(|installed| installed.version.as_ref());
        version.is_none_or(|version| version.etag != item.etag)
    };
    let new: Vec<Item> = items.iter().filter(is_new).cloned().collect();
    for chunk in new.chunks(SAVED_AT_ONCE) {
        let fetching = futures_util::stream::iter(chunk.to_vec())
            .map(|item| async move {
                let bundle = service.bundle(item.certificate_id).await;
                (item, bundle)
            })
            .buffered(FETCHED_AT_ONCE);
        let fetched: Vec<_> = fetching.collect().await;
        let mut placed = Vec::with_capacity(fetched.len());
        for (item, answer) in fetched {
            let intent = match answer {
                Ok(document) => intend(state, &item, document),
                // Gone since the list was made, or not for us: of this one alone.
                Err(ServiceError::Refused { status, detail, .. }) if matches!(status.as_u16(), 403 | 404) => {
                    Err(detail)
                }
                Err(error) => return Err(error.into()),
            };
            placed.push((item, intent));
        }
        save(state)?;
        for (item, intent) in placed {
            let placed = intent.and_then(|intent| place(layouts, clock, &item, intent, state));
            match placed {
                Ok(()) => tally.installed += 1,
                Err(fault) => {
                    tally.failed += 1;
                    fail(state, &item, fault);
                }
            }
        }
        save(state)?;
    }
    Ok(tally)
}

/// What is about to be written, and what was due before.
struct Intent {
    name: String,
    document: BundleDocument,
    hook_was_pending: bool,
    reload_was_pending: bool,
}

fn intend(state: &mut State, item: &Item, document: BundleDocument) -> Result<Intent, String> {
    let name = name_for(state, item.certificate_id, &document.names)?;
    let installed = state.certificates.entry(item.certificate_id.into()).or_insert_with(|| Installed {
        name: name.clone(),
        names: document.names.clone(),
        version: None,
        fault: None,
        hook_pending: false,
        reload_pending: false,
        report_pending: false,
    });
    let intent = Intent {
        name,
        document,
        hook_was_pending: installed.hook_pending,
        reload_was_pending: installed.reload_pending,
    };
    (installed.hook_pending, installed.reload_pending) = (true, true);
    Ok(intent)
}

fn place(
    layouts: &Layouts,
    clock: &dyn Clock,
    item: &Item,
    intent: Intent,
    state: &mut State,
) -> Result<(), String> {
    let Intent { name: own_name, document, hook_was_pending, reload_was_pending } = intent;
    let written = write(layouts, &own_name, &document.fullchain, document.key);
    let changed = match &written {
        Ok((_, changed)) => *changed,
        Err(unwritten) => unwritten.in_part,
    };
    if let Some(installed) = state.certificates.get_mut(&item.certificate_id.into()) {
        installed.hook_pending = hook_was_pending || (changed && written.is_ok());
        installed.reload_pending = reload_was_pending || changed;
    }
    let (leaf, _) = written.map_err(|unwritten| unwritten.fault)?;
    if changed && let Some(rival) = layouts.rival(&own_name) {
        warn!(
            event = "agent.other_client_renews",
            certificate.id = %item.certificate_id,
            "certbot still renews {own_name}: write autorenew = False into {}", rival.display()
        );
    }
    info!(
        event = "agent.installed",
        certificate.id = %item.certificate_id, version.id = %document.version_id,
        "{own_name} is {}", if changed { "installed" } else { "there already" }
    );
    if let Some(installed) = state.certificates.get_mut(&item.certificate_id.into()) {
        installed.names = document.names;
        installed.version = Some(Version {
            id: document.version_id,
            etag: item.etag.clone(),
            fingerprint_sha256: hexadecimal(&leaf.fingerprint),
            not_after: leaf.not_after,
            installed_at: clock.now(),
        });
        installed.fault = None;
        installed.report_pending = true;
    }
    Ok(())
}

/// Why it is not installed.
struct Unwritten {
    fault: String,
    /// Some files may be other than they were.
    in_part: bool,
}

impl<S: Into<String>> From<S> for Unwritten {
    fn from(fault: S) -> Self {
        Self { fault: fault.into(), in_part: false }
    }
}

/// The leaf, and whether any file is other than it was.
fn write(
    layouts: &Layouts,
    own_name: &str,
    fullchain: &str,
    key: Option<SecretString>,
) -> Result<(Leaf, bool), Unwritten> {
    let mut bundle = Bundle::new(fullchain, key)
        .filter(Bundle::fits)
        .ok_or("what the service sent does not fit together: chain and key are not one another's")?;
    let leaf = Leaf::read(&bundle.cert).ok_or("what the service sent is no certificate")?;
    if bundle.key.is_none() {
        let local = layouts.local_key(own_name);
        let fits = |key: &_| key_is_for(key, &leaf.spki_sha256) == Ok(true);
        bundle.key = Some(local.filter(fits).ok_or_else(|| keyless(layouts, own_name))?);
    }
    let changed = layouts
        .write(own_name, &bundle)
        .map_err(|error| Unwritten { fault: format!("{error}: {}", error.source), in_part: true })?;
    Ok((leaf, changed))
}

fn keyless(layouts: &Layouts, own_name: &str) -> String {
    let place = layouts.key_path(own_name).map_or_else(String::new, |path| format!(" at {}", path.display()));
    format!("the service does not hold its private key, and there is none that fits{place}: put it there")
}

/// The name it has had before, or a new one.
fn name_for(state: &State, id: CertificateId, names: &[String]) -> Result<String, String> {
    if let Some(installed) = state.certificates.get(&id.into()) {
        return Ok(installed.name.clone());
    }
    name::of(names, |taken| state.is_taken(taken)).ok_or_else(|| "it has no name to be called by".to_owned())
}

/// What is there stays and is served on.
fn fail(state: &mut State, item: &Item, fault: String) {
    warn!(event = "agent.install_failed", certificate.id = %item.certificate_id, "{} is not installed: {fault}", item.names.join(" "));
    let name = name_for(state, item.certificate_id, &item.names);
    let known = state.certificates.get_mut(&item.certificate_id.into());
    match (known, name) {
        (Some(installed), _) => {
            installed.report_pending |= installed.fault.as_ref() != Some(&fault);
            installed.fault = Some(fault);
        }
        (None, Ok(name)) => {
            let installed = Installed {
                name,
                names: item.names.clone(),
                version: None,
                fault: Some(fault),
                hook_pending: false,
                reload_pending: false,
                report_pending: true,
            };
            state.certificates.insert(item.certificate_id.into(), installed);
        }
        (None, Err(_)) => {}
    }
}
