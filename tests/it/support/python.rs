//! Python, for peers that are written in it: an environment for each set of packages, made once for all tests of a build.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The interpreter of an environment in which `packages` are installed, or why there is none. `modules` are imported to see
/// whether it is there already.
pub(crate) fn environment(name: &str, packages: &[&str], modules: &str) -> Result<PathBuf, String> {
    static KNOWN: Mutex<Option<HashMap<String, Result<PathBuf, String>>>> = Mutex::new(None);
    // Held while it is made: whoever needs it too has to wait in any case.
    let mut known = KNOWN.lock().unwrap();
    let known = known.get_or_insert_default();
    known.entry(name.to_owned()).or_insert_with(|| make(name, packages, modules)).clone()
}

fn make(name: &str, packages: &[&str], modules: &str) -> Result<PathBuf, String> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let python = directory.join("bin/python");
    let run = |program: &Path, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned()),
        }
    };
    if run(&python, &["-c", &format!("import {modules}")]).is_err() {
        run(Path::new("python3"), &["-m", "venv", &directory.to_string_lossy()])?;
        run(&python, &[&["-m", "pip", "install", "--quiet"], packages].concat())?;
    }
    Ok(python)
}

/// With the SDK of OpenTelemetry, its exporters, and with them grpcio and the messages of OTLP.
pub(crate) fn opentelemetry() -> Result<PathBuf, String> {
    let packages = ["opentelemetry-sdk", "opentelemetry-exporter-otlp"];
    let modules = "opentelemetry.exporter.otlp.proto.grpc, opentelemetry.exporter.otlp.proto.http";
    environment("opentelemetry-sdk", &packages, modules)
}

/// Leaves the test unless Python with these packages can be had.
macro_rules! require_python {
    ($environment:expr) => {
        match $environment {
            Ok(python) => python,
            Err(why) => {
                return $crate::support::skipped(&format!(
                    "{}: Python packages cannot be had: {why}",
                    std::thread::current().name().unwrap_or("a test")
                ));
            }
        }
    };
}
pub(crate) use require_python;
