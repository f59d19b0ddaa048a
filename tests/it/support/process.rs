//! Programs that run beside the tests and end with them.

use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::wait_for;

/// Whether `program` is in a directory of `PATH`.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(program)).any(|file: PathBuf| file.is_file())
}

/// A running program, killed when dropped. What it prints is kept.
pub(crate) struct Program {
    name: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let readers = vec![keep_lines(out, &lines), keep_lines(err, &lines)];
        Self { name, child, lines, readers }
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// All it has printed so far, to both of its outputs.
    pub(crate) fn output(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Waits for a line that contains `text`, and returns it.
    pub(crate) fn wait_for_line(&mut self, text: &str) -> String {
        self.wait_for_lines(text, 1)
    }

    /// Waits for the `count`th line that contains `text`, and returns it.
    pub(crate) fn wait_for_lines(&mut self, text: &str, count: usize) -> String {
        wait_for(&format!("{count} lines with {text:?} from {}", self.name), || {
            let of_text = |lines: &[String]| lines.iter().filter(|line| line.contains(text)).nth(count - 1).cloned();
            let found = of_text(&self.lines.lock().unwrap());
            if found.is_none() {
                self.assert_running();
            }
            found
        })
    }

    /// Fails, with what it printed, if it has ended.
    pub(crate) fn assert_running(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            self.join_readers();
            panic!("{} has ended with {status}:\n{}", self.name, self.output());
        }
    }

    /// Sends a signal: `TERM`, `HUP`, ...
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("sh").args(["-c", &format!("kill -{signal} {}", self.child.id())]).status().unwrap();
        assert!(status.success(), "kill -{signal} has failed for {}", self.name);
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let name = self.name.clone();
        let status = wait_for(&format!("the end of {name}"), || self.child.try_wait().unwrap());
        self.join_readers();
        status
    }

    /// Resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// Processor time that its threads have used, in seconds. To the nanosecond: `stat` has hundredths of a second only.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let used = threads.filter_map(|thread| {
            // One that has ended meanwhile has no file any more.
            let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<f64>().ok()
        });
        used.sum::<f64>() / 1e9
    }

    fn join_readers(&mut self) {
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Either fails if it has ended.
        self.child.kill().ok();
        self.child.wait().ok();
        self.join_readers();
        if std::thread::panicking() {
            let output = self.output();
            let from = output.len().saturating_sub(6_000);
            let from = (from..output.len()).find(|at| output.is_char_boundary(*at)).unwrap_or(from);
            super::note(&format!("--- the end of what {} printed:\n{}", self.name, &output[from..]));
        }
    }
}

fn keep_lines(from: impl Read + Send + 'static, to: &Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    let to = Arc::clone(to);
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            to.lock().unwrap().push(String::from_utf8_lossy(&line).trim_end().to_owned());
            line.clear();
        }
    })
}
