#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use pipeline::component::{ComponentKind, Program, Shared};
use pipeline::config::{ComponentId, parse};
use pipeline::telemetry::Telemetry;
use std::time::Duration;
use wal::{Log, OpenError, Storage, SyncPolicy};

fn read(text: &str) -> Result<FileStorageConfig, String> {
    FileStorageConfig::read(&parse(text, "test.yaml").unwrap()).map_err(|errors| errors.to_string())
}

fn context() -> BuildContext {
    BuildContext {
        id: ComponentId::new("file_storage", "").unwrap(),
        program: Program { name: "oxidot", version: "0" },
        telemetry: Telemetry::default(),
        shared: Shared::default(),
        signal: None,
    }
}

#[test]
fn all_keys_of_the_collector_are_taken() {
    let config = read(
        "directory: /d\ntimeout: 3s\nfsync: true\ncreate_directory: true\ndirectory_permissions: '0700'\nrecreate: true\n\
         compaction: {on_start: true, on_rebound: true, directory: /tmp, rebound_needed_threshold_mib: 1,\n  \
         rebound_trigger_threshold_mib: 1, max_transaction_size: 65536, check_interval: 5s, cleanup_on_start: true}\n",
    )
    .unwrap();
    let storage = Storage {
        directory: "/d".into(),
        permissions: 0o700,
        timeout: Duration::from_secs(3),
        sync: SyncPolicy::Always,
    };
    assert_eq!(config.storage(), storage);
    assert!(config.compaction.is_asked_for());
    let default = read("{}").unwrap();
    assert_eq!(default, FileStorageConfig::default());
    assert_eq!(default.storage().directory, Path::new("/var/lib/otelcol/file_storage"));
    assert_eq!(default.storage().sync, SyncPolicy::Every(Duration::from_secs(1)));
}

#[test]
fn mistakes_are_named() {
    for (text, words) in [
        ("direktory: a", "direktory"),
        ("directory: ''", "directory is empty"),
        ("directory_permissions: '0999'", "must be octal"),
        ("directory_permissions: '1777'", "must be octal"),
        ("compaction: {max_transaction_size: -1}", "cannot be less than 0"),
        ("compaction: {on_rebound: true, check_interval: 0s}", "must be positive"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn components_find_a_directory_that_is_theirs_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let below = scratch.path().join("a/b");
    let text =
        format!("directory: {}\ncreate_directory: true\ntimeout: 0s\ncompaction: {{on_start: true}}", below.display());
    let context = context();
    let mut extension = build(&parse(&text, "test.yaml").unwrap(), &context).unwrap();
    extension.start().await.unwrap();
    let storage = context.shared.get::<Storage>(&context.id).unwrap();
    let options =
        |name: &str| storage.options(ComponentKind::Exporter, &ComponentId::new("otlphttp", name).unwrap(), "metrics");
    let log = Log::open(options("east")).unwrap();
    Log::open(options("west")).unwrap();
    assert!(matches!(Log::open(options("east")), Err(OpenError::Locked { .. })));
    drop(log);
    assert!(below.join("exporter_otlphttp_east_metrics").is_dir());
    assert_eq!(std::fs::read_dir(&below).unwrap().count(), 2, "nothing is left of looking whether it can be written");
}

#[tokio::test]
async fn what_cannot_be_used_keeps_the_service_from_starting() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    std::fs::write(&file, "").unwrap();
    for (path, words) in [
        (scratch.path().join("missing"), "is missing: create it, or set create_directory: true"),
        (file, "is not a directory"),
    ] {
        let text = format!("directory: {}", path.display());
        let mut extension = build(&parse(&text, "test.yaml").unwrap(), &context()).unwrap();
        let error = extension.start().await.unwrap_err().to_string();
        assert!(error.contains(words) && error.contains(&path.display().to_string()), "{error}");
    }
}
