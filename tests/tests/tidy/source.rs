//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use crate::lexed::Lexed;

/// One text file, by its path from the top of the repository.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub(crate) fn is(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|own| own == extension)
    }

    /// Code and strings without comments, and without the tests, which may use what production may not.
    pub(crate) fn production(&self) -> Lexed {
        let is_test = self.path.ends_with("/tests.rs") || self.path.contains("/tests/");
        let end = match self.text.find("#[cfg(test)]\nmod ") {
            _ if is_test => 0,
            Some(start) => start,
            None => self.text.len(),
        };
        Lexed::of(&self.text[..end])
    }

    /// The file's module path below `src/`: `["store", "orders"]` for `…/src/store/orders.rs`.
    pub(crate) fn modules(&self) -> Option<Vec<&str>> {
        let (_, inside) = self.path.split_once("/src/")?;
        let mut modules: Vec<&str> = inside.strip_suffix(".rs")?.split('/').collect();
        if matches!(modules.last(), Some(&"mod" | &"lib" | &"main")) {
            modules.pop();
        }
        Some(modules)
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_path_buf()
}

/// Every Rust, SQL and TOML file that is ours.
pub(crate) fn repository() -> Vec<Source> {
    let root = root();
    let mut sources = Vec::new();
    for folder in ["orchestrator", "migrations", "deploy", "tests", "benches"] {
        read(&root, &root.join(folder), &mut sources);
    }
    assert!(sources.len() > 50, "only {} files found below {}", sources.len(), root.display());
    sources
}

fn read(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    for path in paths {
        let wanted =
            path.extension().is_some_and(|own| ["rs", "sql", "toml"].iter().any(|kind| own == *kind));
        if path.is_dir() {
            read(root, &path, sources);
        } else if wanted {
            let text =
                fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            sources.push(Source { path: name, text });
        }
    }
}

#[test]
fn tests_are_no_production() {
    let source = Source::new("a/src/b.rs", "use sqlx::x;\n#[cfg(test)]\nmod tests { use anyhow::y; }");
    assert!(source.production().code.contains("sqlx") && !source.production().code.contains("anyhow"));
    assert!(Source::new("a/src/b/tests.rs", "use sqlx::x;").production().code.is_empty());
    assert_eq!(Source::new("a/src/store/mod.rs", "").modules(), Some(vec!["store"]));
    assert_eq!(Source::new("a/src/lib.rs", "").modules(), Some(vec![]));
}
