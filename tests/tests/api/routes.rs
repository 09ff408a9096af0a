//! Every route of the API, read from where it is written down.

use std::collections::BTreeSet;
use std::path::Path;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Method in capitals, and path with its parameters in braces.
pub(crate) fn all() -> BTreeSet<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../orchestrator/service/src/api");
    let mut routes = BTreeSet::new();
    read_folder(&folder, &mut routes);
    assert!(routes.len() > 30, "the routes are written down in another way now: {routes:?}");
    routes
}

fn read_folder(folder: &Path, routes: &mut BTreeSet<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("the sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_folder(&path, routes);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = std::fs::read_to_string(&path).expect("text");
            described(&text, routes);
            plain(&text, routes);
        }
    }
}

/// `#[utoipa::path(get, path = "…", …)]`
fn described(text: &str, routes: &mut BTreeSet<(String, String)>) {
    for (at, found) in text.match_indices("#[utoipa::path(") {
        let attribute = &text[at + found.len()..];
        let attribute = &attribute[..attribute.find(")]\n").unwrap_or(attribute.len())];
        let method = attribute.split(',').map(str::trim).find(|word| METHODS.contains(word));
        let path = attribute.split_once("path = \"").and_then(|(_, rest)| rest.split_once('"'));
        let (Some(method), Some((path, _))) = (method, path) else {
            panic!("a description without a method or a path: {attribute}");
        };
        routes.insert((method.to_uppercase(), path.to_owned()));
    }
}

/// `.route("…", get(…).post(…))`
fn plain(text: &str, routes: &mut BTreeSet<(String, String)>) {
    for (at, found) in text.match_indices(".route(") {
        let call = &text[at + found.len()..];
        let Some((path, rest)) = call.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"'))
        else {
            continue;
        };
        let mut depth = 1;
        let end = rest.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        let handlers = &rest[..end.unwrap_or(rest.len())];
        for method in METHODS {
            let opens = format!("{method}(");
            let named = handlers.match_indices(&opens).any(|(at, _)| {
                !handlers[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
            });
            if named {
                routes.insert((method.to_uppercase(), path.to_owned()));
            }
        }
    }
}
