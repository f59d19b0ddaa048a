//! Sources, their order, merging, `--set`, the default.

use std::fs;

use pipeline::config::{Redaction, parse};

use super::*;

fn tree(text: &str) -> Node {
    parse(text, "expected").unwrap()
}

#[test]
fn later_sources_win() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(dir.path().join("a.yaml"), "m: {x: 1, y: {z: 2}}\nlist: [1, 2]\nkept: 5\n").unwrap();
    fs::write(dir.path().join("b.yaml"), "m: {y: {w: 3}}\nlist: [3]\n").unwrap();
    let world = World::with(&[("MORE", "m: {x: 9}")]).page("https://h/c", 200, "added: true");
    let uris = [path("a.yaml"), format!("file:{}", path("b.yaml")), "env:MORE".into(), "https://h/c".into()];
    let uris: Vec<&str> = uris.iter().map(String::as_str).collect();
    let loaded = world.load(&args(&uris, &["m.y.z=[7]", "kept= text ", "new.k=a=b"])).unwrap();
    let expected = "m: {x: 9, y: {z: [7], w: 3}}\nlist: [3]\nkept: text\nadded: true\nnew: {k: a=b}\n";
    assert_eq!(loaded.root, tree(expected));
    assert!(!loaded.is_default && loaded.warnings.is_empty());
    assert_eq!(loaded.root.at("m::y::w").unwrap().span.to_string(), format!("{}:1:12", path("b.yaml")));
    assert_eq!(loaded.root.at("m::y::z").unwrap().span.to_string(), "--set m.y.z:1:10");
}

#[test]
fn null_and_scalars_replace_mappings() {
    let loaded = World::default().load(&args(&["yaml:a: {b: 1}\nc: {d: 1}", "yaml:a:\nc: 5"], &[])).unwrap();
    assert_eq!(loaded.root, tree("a:\nc: 5"));
    let loaded = World::default().load(&args(&["yaml:a: 1", "yaml:a::b::c: 2", "yaml:a::b::d: 3"], &[])).unwrap();
    assert_eq!(loaded.root, tree("a: {b: {c: 2, d: 3}}"));
}

#[test]
fn lists_are_appended_only_behind_the_gate() {
    let arguments = args(
        &[
            "yaml:service: {extensions: [a], pipelines: {metrics: {receivers: [r], processors: [p]}}}",
            "yaml:service: {extensions: [a, b], pipelines: {metrics: {receivers: [s], processors: [q]}}}",
        ],
        &[],
    );
    let gates = FeatureGates::parse(["+confmap.enableMergeAppendOption"]).unwrap();
    let appended = World::default().load_with(&arguments, None, &gates).unwrap();
    let expected = "service: {extensions: [a, b], pipelines: {metrics: {receivers: [r, s], processors: [q]}}}";
    assert_eq!(appended.root, tree(expected));
    let replaced = World::default().load(&arguments).unwrap();
    assert_eq!(replaced.root.at("service::pipelines::metrics::receivers").unwrap().as_sequence().unwrap().len(), 1);
}

#[test]
fn the_content_variable_overrides_everything() {
    let world = World::with(&[("AOT_CONFIG_CONTENT", "a: 1\nb:\n")]);
    let loaded = world.load(&args(&["/does/not/exist"], &["a=2"])).unwrap();
    assert_eq!(loaded.root, tree("a: 1\nb:"));
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings[0].to_string().contains("--config and --set are ignored"));
    assert_eq!(loaded.root.get("a").unwrap().span.to_string(), "env:AOT_CONFIG_CONTENT:1:4");
    let error = World::with(&[("AOT_CONFIG_CONTENT", "arn:aws:ssm:x")]).load(&args(&[], &[])).unwrap_err().to_string();
    assert!(error.contains("retrieved value (type=string) cannot be used as a Conf"), "{error}");
    let empty = World::with(&[("AOT_CONFIG_CONTENT", "")]).load(&args(&["yaml:a: 1"], &[])).unwrap();
    assert_eq!((empty.root, empty.warnings.len()), (tree("a: 1"), 1));
}

#[test]
fn without_arguments_the_default_is_taken() {
    let default = Some(DefaultConfig { name: "built-in", text: "a: {b: 1}\n" });
    let gates = FeatureGates::default();
    let loaded = World::default().load_with(&args(&[], &["a.c=2"]), default, &gates).unwrap();
    assert!(loaded.is_default);
    assert_eq!(loaded.root, tree("a: {b: 1, c: 2}"));
    assert!(!World::default().load_with(&args(&["yaml:x: 1"], &[]), default, &gates).unwrap().is_default);
    let error = World::default().load(&args(&[], &[])).unwrap_err().to_string();
    assert!(error.contains("no URIs"), "{error}");
}

#[test]
fn every_source_that_fails_is_named() {
    let world = World::with(&[("EMPTY", "")]).page("http://h/404", 404, "");
    let uris = [
        "/does/not/exist.yaml",
        "file:/does/not/exist",
        "env:UNSET",
        "env:EMPTY",
        "env:1",
        "s3://bucket.s3.eu-west-1.amazonaws.com/key",
        "fiel:x",
        "h tp:x",
        "http://h/404",
        "https://user:secret@h/refused",
        "yaml:a: 1\na: 2",
        "C:/nope",
    ];
    let errors = world.load(&args(&uris, &["novalue", "=5"])).unwrap_err().to_string();
    let expected = [
        "/does/not/exist.yaml: unable to read the file /does/not/exist.yaml: No such file",
        "/does/not/exist: unable to read the file /does/not/exist: No such file",
        "env:UNSET: environment variable \"UNSET\" is not set",
        "env:EMPTY: environment variable \"EMPTY\" is empty",
        "environment variable \"1\" has invalid name: must match regex ^[a-zA-Z_][a-zA-Z0-9_]*$",
        "s3 is not among the sources on URI \"s3://bucket.s3.eu-west-1.amazonaws.com/key\"",
        "unsupported scheme on URI \"fiel:x\" (supported: env, file, http, https, yaml); did you mean \"file\"?",
        "invalid uri: \"h tp:x\"",
        "failed to load resource from uri \"http://h/404\". status code: 404",
        "unable to download the file via HTTP GET for uri \"https://user:[redacted]@h/refused\": connection refused",
        "yaml::2:1: mapping key \"a\" already defined at line 1",
        "C:/nope: unable to read the file",
        "invalid value \"novalue\" for flag -set: missing equal sign",
        "nothing stands before the equal sign",
    ];
    for part in expected {
        assert!(errors.contains(part), "{part:?} is not in\n{errors}");
    }
    assert_eq!(errors.lines().count(), expected.len());
}

#[test]
fn files_must_be_text() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.yaml");
    fs::write(&path, b"a: \xff").unwrap();
    let error = World::default().load(&args(&[path.to_str().unwrap()], &[])).unwrap_err().to_string();
    assert!(error.contains("it is not UTF-8 text"), "{error}");
}

#[test]
fn printing_keeps_secrets_out_of_both_formats() {
    let text = "e: {password: hunter2, n: 0x10, f: 1.5, z: .inf, none: , list: [{name: x-api-key, value: v}], \
                url: 'http://u:p@h'}";
    let root = World::default().read(text).unwrap().root;
    let json = print_config(&root, Format::Json, Redaction::Redacted);
    let expected = serde_json::json!({"e": {"password": "[redacted]", "n": 16, "f": 1.5, "z": ".inf", "none": null,
        "list": [{"name": "x-api-key", "value": "[redacted]"}], "url": "http://u:[redacted]@h"}});
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), expected);
    assert!(json.starts_with("{\n  \"e\"") && json.ends_with("}\n"));
    assert!(!print_config(&root, Format::Yaml, Redaction::Redacted).contains("hunter2"));
    for format in [Format::Yaml, Format::Json] {
        let open = print_config(&root, format, Redaction::Unredacted);
        assert!(open.contains("hunter2") && open.contains("http://u:p@h"), "{open}");
    }
}
