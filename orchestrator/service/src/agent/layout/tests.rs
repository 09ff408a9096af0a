use std::fs;
use std::os::unix::fs::MetadataExt;

use super::*;
use crate::config::agent::Template;
use crate::keys::{CertificateKey, KeyKind};

fn bundle(leaf: &str) -> Bundle {
    let pem = |body: &str| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
    let key = CertificateKey::generate(KeyKind::EcdsaP256).expect("a key").pkcs8_pem();
    Bundle::new(&format!("{}{}", pem(leaf), pem("issuer")), Some(key)).expect("a chain")
}

fn layouts(config: &AgentConfig) -> Layouts {
    Layouts::new(config, Owner::default())
}

fn listed(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn certbots_layout_grows_by_a_number_and_its_links_follow() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = AgentConfig::default();
    config.certbot.folder = Some(folder.path().to_owned());
    let layouts = layouts(&config);
    let (first, second) = (bundle("one"), bundle("two"));
    assert!(layouts.write("a.com", &first).expect("written"));
    assert!(!layouts.write("a.com", &first).expect("the same"), "nothing has changed");
    assert!(layouts.write("a.com", &second).expect("written"));

    let live = folder.path().join("live/a.com");
    assert_eq!(listed(&live), ["README", "cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"]);
    let target = fs::read_link(live.join("privkey.pem")).expect("a link");
    assert_eq!(target, Path::new("../../archive/a.com/privkey2.pem"));
    let read = |name: &str| fs::read_to_string(live.join(name)).expect("readable");
    assert_eq!(read("fullchain.pem"), second.fullchain());
    assert_eq!(read("fullchain.pem"), read("cert.pem") + &read("chain.pem"));
    assert_eq!(read("privkey.pem"), second.key.as_ref().expect("a key").expose_secret());

    let archive = folder.path().join("archive/a.com");
    let numbered =
        |number| ["cert", "chain", "fullchain", "privkey"].map(|kind| format!("{kind}{number}.pem"));
    let mut both = [numbered(1), numbered(2)].concat();
    both.sort_unstable();
    assert_eq!(listed(&archive), both);
    let mode = |name: &str| fs::metadata(archive.join(name)).expect("there").mode() & 0o777;
    assert_eq!((mode("privkey2.pem"), mode("cert2.pem")), (0o640, 0o644));
    assert_eq!(fs::metadata(&live).expect("there").mode() & 0o777, 0o700);
}

#[test]
fn a_lineage_of_certbots_is_taken_over_where_it_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("archive/a.com");
    fs::create_dir_all(&archive).expect("made");
    fs::create_dir_all(folder.path().join("renewal")).expect("made");
    for name in ["cert7.pem", "privkey12.pem", "notes.txt"] {
        fs::write(archive.join(name), "certbot's").expect("written");
    }
    let renewal = folder.path().join("renewal/a.com.conf");
    fs::write(&renewal, "version = 2.1.0\n[renewalparams]\nserver = x\n").expect("written");
    let mut config = AgentConfig::default();
    config.certbot.folder = Some(folder.path().to_owned());
    let layouts = layouts(&config);
    assert!(layouts.write("a.com", &bundle("one")).expect("written"));
    let target = fs::read_link(folder.path().join("live/a.com/cert.pem")).expect("a link");
    assert_eq!(target, Path::new("../../archive/a.com/cert13.pem"), "no file of certbot's is written over");
    assert_eq!(layouts.rival("a.com"), Some(renewal.clone()));
    fs::write(&renewal, "[renewalparams]\nautorenew = False\n").expect("written");
    assert_eq!((layouts.rival("a.com"), layouts.rival("b.com")), (None, None));
}

#[test]
fn other_files_lie_where_they_are_wanted() {
    let folder = tempfile::tempdir().expect("a folder");
    let template =
        |path: &str| Template::try_from(format!("{}/{path}", folder.path().display())).expect("a template");
    let mut config = AgentConfig::default();
    config.haproxy.folder = Some(folder.path().join("haproxy"));
    config.custom.fullchain = Some(template("ssl/{name}/chain.crt"));
    config.custom.privkey = Some(template("ssl/{name}/{name}.key"));
    let layouts = layouts(&config);
    let written = bundle("one");
    assert!(layouts.write("_wildcard.a.com", &written).expect("written"));
    assert!(!layouts.write("_wildcard.a.com", &written).expect("the same"));
    let read = |path: &str| fs::read_to_string(folder.path().join(path)).expect("readable");
    assert_eq!(read("ssl/_wildcard.a.com/chain.crt"), written.fullchain());
    let key = read("ssl/_wildcard.a.com/_wildcard.a.com.key");
    assert_eq!(read("haproxy/_wildcard.a.com.pem"), written.fullchain() + &key);
    assert_eq!(layouts.local_key("_wildcard.a.com").expect("a key").expose_secret(), key);
    assert!(layouts.paths("a.com").is_none(), "a hook has no certificate by itself");
}
