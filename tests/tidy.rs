//! House rules that no lint knows. Unenforced rules rot, so each of them is checked here, with the exceptions and their
//! reasons. Reads the sources as text; needs nothing but the standard library.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines that a file may have, tests aside: what can be read in one go.
const MAX_FILE: usize = 500;
/// Lines of a function.
const MAX_FUNCTION: usize = 80;

/// Files that may be longer, and why.
const LONG_FILES: &[(&str, &str)] = &[];

/// Functions that may be longer, as `file: name`, and why.
const LONG_FUNCTIONS: &[(&str, &str)] = &[];

/// Folders with sources of ours.
const SOURCES: [&str; 15] = [
    "src",
    "pipeline",
    "prometheus",
    "otlp",
    "net",
    "aws",
    "receivers",
    "processors",
    "connectors",
    "exporters",
    "extensions",
    "wal",
    "resident",
    "tests",
    "benches",
];

/// A source file.
struct Source {
    /// From the root, with slashes.
    path: String,
    text: String,
    /// The text with comments, strings and characters blanked, byte for byte.
    code: String,
    /// Whether the file as a whole is test code.
    is_test: bool,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `directory` whose name ends with `ending`, those of builds aside.
fn files(directory: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files(&path, ending, found);
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/")
}

fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in SOURCES {
        files(&root().join(folder), ".rs", &mut paths);
    }
    let mut sources: Vec<Source> = paths
        .iter()
        .map(|path| {
            let text = fs::read_to_string(path).unwrap();
            Source { path: relative(path), code: blanked(&text), text, is_test: false }
        })
        .collect();
    assert!(sources.len() > 100, "the sources are not where this test looks for them");
    let tests: Vec<PathBuf> = sources.iter().flat_map(test_modules).collect();
    for source in &mut sources {
        let path = Path::new(&source.path);
        source.is_test = source.path.starts_with("tests/")
            || tests.iter().any(|module| path.starts_with(module) || path == module.with_extension("rs"));
    }
    sources
}

/// The modules that a file declares for tests only, as paths without ending.
fn test_modules(source: &Source) -> Vec<PathBuf> {
    let path = Path::new(&source.path);
    let beside = ["mod.rs", "lib.rs", "main.rs"].contains(&&*path.file_name().unwrap().to_string_lossy());
    let folder = if beside { path.parent().unwrap().to_owned() } else { path.with_extension("") };
    let lines: Vec<&str> = source.code.lines().map(str::trim).collect();
    let declared = lines.iter().enumerate().filter(|(_, line)| **line == "#[cfg(test)]");
    let names = declared.filter_map(|(at, _)| {
        let next = lines.iter().skip(at + 1).find(|line| !line.starts_with("#["))?;
        Some(next.strip_suffix(';')?.rsplit_once("mod ")?.1)
    });
    names.map(|name| folder.join(name)).collect()
}

/// The text with everything blanked that is no code. Line feeds stay, so that lines can be counted.
fn blanked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = at + not_code(&bytes[at..], at.checked_sub(1).map(|before| bytes[before]));
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The length of the comment, string or character that `bytes` begins with; 0 if it is code.
fn not_code(bytes: &[u8], before: Option<u8>) -> usize {
    let until = |from: usize, end: &[u8]| {
        let found = bytes.get(from..).and_then(|rest| rest.windows(end.len()).position(|window| window == end));
        found.map_or(bytes.len(), |at| from + at + end.len())
    };
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match bytes {
        [b'/', b'/', ..] => bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len()),
        [b'/', b'*', ..] => until(2, b"*/"),
        [b'r', b'"' | b'#', ..] if !before.is_some_and(|byte| is_word(byte) && byte != b'b') => {
            let hashes = bytes.iter().skip(1).take_while(|byte| **byte == b'#').count();
            if bytes.get(1 + hashes) != Some(&b'"') {
                return 0;
            }
            let end: Vec<u8> = [b'"'].into_iter().chain(vec![b'#'; hashes]).collect();
            until(2 + hashes, &end)
        }
        [b'"', ..] => {
            let mut at = 1;
            while at < bytes.len() && bytes[at] != b'"' {
                at += if bytes[at] == b'\\' { 2 } else { 1 };
            }
            (at + 1).min(bytes.len())
        }
        [b'\'', b'\\', _, rest @ ..] => 3 + rest.iter().position(|byte| *byte == b'\'').map_or(0, |at| at + 1),
        // A lifetime has no second quote behind its first character.
        [b'\'', first, ..] if *first != b'\'' => {
            let width = match first {
                0..=0x7f => 1,
                0x80..=0xdf => 2,
                0xe0..=0xef => 3,
                _ => 4,
            };
            if bytes.get(1 + width) == Some(&b'\'') { 2 + width } else { 0 }
        }
        _ => 0,
    }
}

/// Where words like `fn` begin in code.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        !code[..*at].chars().next_back().is_some_and(is_word)
            && !code[at + word.len()..].chars().next().is_some_and(is_word)
    })
}

/// The end of the block that begins with the brace at `open`.
fn block_end(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

/// The code without modules that are there for tests only, whose lines are taken out.
fn without_inline_tests(code: &str) -> String {
    let mut rest = code;
    let mut out = String::new();
    while let Some(at) = rest.find("#[cfg(test)]\nmod ") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let (open, end) = (from.find('{'), from.find(';').unwrap_or(from.len()));
        match open.filter(|open| *open < end) {
            Some(open) => rest = &from[block_end(from, open)..],
            None => {
                out.push_str(&from[..end]);
                rest = &from[end..];
            }
        }
    }
    out + rest
}

/// Name and number of lines of each function that has a body.
fn functions(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for at in words(code, "fn") {
        let signature = &code[at..];
        let name: String =
            signature[2..].trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let mut depth = 0_usize;
        let body = signature.bytes().enumerate().find_map(|(at, byte)| {
            match byte {
                b'(' | b'[' => depth += 1,
                b')' | b']' => depth = depth.saturating_sub(1),
                b'{' if depth == 0 => return Some(Some(at)),
                b';' | b'=' | b',' if depth == 0 => return Some(None),
                _ => {}
            }
            None
        });
        // Types of functions have neither a name nor a body.
        if let (false, Some(Some(open))) = (name.is_empty(), body) {
            found.push((name, signature[..block_end(signature, open)].lines().count()));
        }
    }
    found
}

/// Fails with all violations, and with exceptions that nobody needs any more.
fn assert_none(rule: &str, violations: BTreeMap<String, String>, exceptions: &[(&str, &str)]) {
    let excepted: BTreeSet<&str> = exceptions.iter().map(|(place, _)| *place).collect();
    let bad: Vec<String> = violations
        .iter()
        .filter(|(place, _)| !excepted.contains(place.as_str()))
        .map(|(place, what)| format!("{place}: {what}"))
        .collect();
    assert!(bad.is_empty(), "{rule}\n  {}", bad.join("\n  "));
    let stale: Vec<&&str> = excepted.iter().filter(|place| !violations.contains_key(**place)).collect();
    assert!(stale.is_empty(), "{rule}: these exceptions are not needed any more: {stale:?}");
}

#[test]
fn files_can_be_read_in_one_go() {
    let mut violations = BTreeMap::new();
    for source in sources().iter().filter(|source| !source.is_test) {
        let lines = without_inline_tests(&source.code).lines().count();
        if lines > MAX_FILE {
            violations.insert(source.path.clone(), format!("{lines} lines without tests"));
        }
    }
    assert_none(&format!("a file has at most {MAX_FILE} lines without its tests"), violations, LONG_FILES);
}

#[test]
fn functions_can_be_seen_at_once() {
    let mut violations = BTreeMap::new();
    for source in sources().iter().filter(|source| !source.is_test) {
        for (name, lines) in functions(&without_inline_tests(&source.code)) {
            if lines > MAX_FUNCTION {
                violations.insert(format!("{}: {name}", source.path), format!("{lines} lines"));
            }
        }
    }
    assert_none(&format!("a function has at most {MAX_FUNCTION} lines"), violations, LONG_FUNCTIONS);
}

#[test]
fn nothing_is_left_for_later() {
    let mut violations = BTreeMap::new();
    for source in sources() {
        for word in ["todo", "unimplemented", "dbg"] {
            if words(&source.code, word).any(|at| source.code[at + word.len()..].starts_with('!')) {
                violations.insert(source.path.clone(), format!("uses {word}!"));
            }
        }
        let marks = [concat!("TO", "DO"), concat!("FIX", "ME")];
        if let Some(mark) = marks.into_iter().find(|mark| words(&source.text, mark).next().is_some()) {
            violations.insert(source.path, format!("says {mark}"));
        }
    }
    assert_none("nothing is left for later", violations, &[]);
}

#[test]
fn unknown_keys_cannot_go_unnoticed() {
    // `pipeline::config::decode` reports keys that no field takes. A flattened struct takes them all.
    let mut violations = BTreeMap::new();
    for source in sources() {
        for at in words(&source.code, "serde") {
            let attribute = source.code[at..].split(']').next().unwrap_or_default();
            if words(attribute, "flatten").next().is_some() {
                violations.insert(source.path.clone(), "flattens a struct".to_owned());
            }
        }
    }
    assert_none("serde(flatten) hides unknown keys", violations, &[]);
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    let manifest = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let workspace = manifest("Cargo.toml");
    assert!(workspace.contains("unsafe_code = \"forbid\""), "the workspace forbids unsafe code");
    let members = workspace.split_once("members = [").unwrap().1.split(']').next().unwrap();
    let mut violations = BTreeMap::new();
    for member in members.split(',').map(|member| member.trim().trim_matches('"')) {
        let path = if member == "." { "Cargo.toml".to_owned() } else { format!("{member}/Cargo.toml") };
        let inherits =
            manifest(&path).split("\n[lints]\n").nth(1).is_some_and(|rest| rest.starts_with("workspace = true"));
        if !inherits {
            violations.insert(path, "has no [lints] workspace = true".to_owned());
        }
    }
    for source in sources() {
        if words(&source.code, "unsafe").next().is_some() {
            violations.insert(source.path, "uses unsafe".to_owned());
        }
    }
    let exceptions = [
        ("resident/Cargo.toml", "the workspace's lints but for `forbid`, which knows no exception"),
        ("resident/lib.rs", "there is no safe interface to madvise, and it saves a third of a sidecar's memory"),
    ];
    assert_none("lints hold everywhere, and nothing is unsafe", violations, &exceptions);
}

/// The components in the program's table: the section of a file that they stand in, and their type.
fn components() -> Vec<(String, String)> {
    let table = fs::read_to_string(root().join("src/components.rs")).unwrap();
    let rows = table.lines().filter_map(|line| line.trim().strip_suffix("::FACTORY,"));
    let components: Vec<_> = rows
        .map(|module| {
            let (family, component) = module.split_once("::").unwrap();
            let file = root().join(family).join(component.replace("::", "/")).join("mod.rs");
            let text = fs::read_to_string(&file).unwrap();
            let name = text.split("type_name: \"").nth(1).and_then(|rest| rest.split('"').next());
            (family.to_owned(), name.unwrap_or_else(|| panic!("{} has no type name", file.display())).to_owned())
        })
        .collect();
    assert!(components.len() > 5, "the table of components is not where this test looks for it");
    components
}

/// Types that a configuration names, by section. Reads the plain block style of `configs/`.
fn named_types(text: &str) -> BTreeSet<(String, String)> {
    let mut section = String::new();
    let mut named = BTreeSet::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let Some((key, _)) = line.split_once(':') else { continue };
        if !line.starts_with(' ') {
            section = key.to_owned();
        } else if let Some(id) = key.strip_prefix("  ").filter(|id| !id.starts_with(' ')) {
            named.insert((section.clone(), id.split('/').next().unwrap().to_owned()));
        }
    }
    named
}

#[test]
fn every_component_is_in_the_readme_and_in_a_ready_configuration() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut paths = Vec::new();
    files(&root().join("configs"), ".yaml", &mut paths);
    let named: BTreeSet<_> = paths.iter().flat_map(|path| named_types(&fs::read_to_string(path).unwrap())).collect();
    let mut violations = BTreeMap::new();
    for (section, name) in components() {
        let kind = section.trim_end_matches('s');
        if !readme.contains(&format!("| {kind} | `{name}` |")) {
            violations.insert(format!("{section}::{name}"), "is not in README.md's table of components".to_owned());
        } else if !named.contains(&(section.clone(), name.clone())) {
            violations.insert(format!("{section}::{name}"), "is in no file of configs/".to_owned());
        }
    }
    assert_none("who looks for a component finds it", violations, &[]);
}

/// The texts in parentheses behind brackets, outside code.
fn links(text: &str) -> Vec<String> {
    let mut prose = String::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The anchors of a page's headings, as they are made of their texts.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings.map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut pages = Vec::new();
    files(root(), ".md", &mut pages);
    let mut violations = BTreeMap::new();
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            let place = format!("{}: {link}", relative(page));
            if !target.exists() {
                violations.insert(place, "is not there".to_owned());
            } else if !anchor.is_empty() && !anchors(&fs::read_to_string(&target).unwrap()).contains(anchor) {
                violations.insert(place, "has no such heading".to_owned());
            }
        }
    }
    assert!(pages.len() >= 5, "the pages are not where this test looks for them");
    assert_none("links lead somewhere", violations, &[]);
}

#[test]
fn the_rules_are_seen_where_they_are_broken() {
    let code = blanked(
        "fn a() { let s = \"} fn x() {\"; let c = '}'; let l: &'static str = r#\"}\"#; } // fn b() {\nfn c();\n",
    );
    assert_eq!(functions(&code), [("a".to_owned(), 1)]);
    assert_eq!(functions("fn long(f: fn(u8) -> [u8; 2]) -> u8 {\n1\n}\n"), [("long".to_owned(), 3)]);
    assert_eq!(without_inline_tests("a\n#[cfg(test)]\nmod tests {\nx {}\n}\nb\n").lines().count(), 3);
    assert_eq!(links("a [b](c.md#d)\n```\n[no](x)\n```\n"), ["c.md#d"]);
    assert!(anchors("# a\n## `b_c` d\n").contains("b_c-d"));
    let named = named_types("receivers:\n  a/b:\n    c: 1\nservice:\n");
    assert_eq!(named.into_iter().collect::<Vec<_>>(), [("receivers".to_owned(), "a".to_owned())]);
}
