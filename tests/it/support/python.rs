//! Python environments with packages that tests need, made once for a build.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};

/// Environments by name, or why there is none.
static MADE: LazyLock<Mutex<HashMap<&'static str, Result<PathBuf, String>>>> = LazyLock::new(Mutex::default);

/// The interpreter of the environment of this name, which has `packages` and with them can run `import`.
pub(crate) fn python(name: &'static str, import: &str, packages: &[&str]) -> Result<PathBuf, String> {
    // Held while an environment is made, so that nobody else makes it too.
    let mut made = MADE.lock().unwrap();
    made.entry(name).or_insert_with(|| make(name, import, packages)).clone()
}

/// With the SDK of OpenTelemetry, its exporters, and with them grpcio and the messages of OTLP.
pub(crate) fn opentelemetry() -> Result<PathBuf, String> {
    python(
        "opentelemetry-sdk",
        "import opentelemetry.exporter.otlp.proto.grpc, opentelemetry.exporter.otlp.proto.http",
        &["opentelemetry-sdk", "opentelemetry-exporter-otlp"],
    )
}

/// With AWS' own library.
pub(crate) fn botocore() -> Result<PathBuf, String> {
    python("botocore", "import botocore.auth", &["botocore"])
}

fn make(name: &str, import: &str, packages: &[&str]) -> Result<PathBuf, String> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let python = directory.join("bin/python");
    if run(&python, &["-c", import]).is_err() {
        run(Path::new("python3"), &["-m", "venv", &directory.to_string_lossy()])?;
        run(&python, &[&["-m", "pip", "install", "--quiet"], packages].concat())?;
    }
    Ok(python)
}

fn run(program: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned()),
    }
}
