//! The program under test.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use super::process::Program;
use super::{free_port, http, wait_until};

/// Where the built program is.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_oxidot");

/// The program with these arguments, in an environment that does not change what it does.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_remove("AOT_CONFIG_CONTENT");
    command
}

/// A pipeline that scrapes and writes: `jobs` are flow mappings of `scrape_configs`, `exporter` further keys of the
/// exporter. Names are kept as they are scraped, so that a test reads what it wrote.
pub(crate) fn scrape_and_write(jobs: &str, endpoint: &str, exporter: &str) -> String {
    format!(
        "receivers: {{prometheus: {{config: {{scrape_configs: [{jobs}]}}}}}}\n\
         exporters: {{prometheusremotewrite: {{endpoint: \"{endpoint}\", keep_scraped_names: true, {exporter}}}}}\n\
         service: {{pipelines: {{metrics: {{receivers: [prometheus], exporters: [prometheusremotewrite]}}}}}}\n"
    )
}

/// A job with one static target.
pub(crate) fn job(name: &str, address: &str, interval: &str) -> String {
    format!(
        "{{job_name: {name}, scrape_interval: {interval}, scrape_timeout: {interval}, static_configs: [{{targets: [\"{address}\"]}}]}}"
    )
}

/// A running service with a configuration file of its own.
pub(crate) struct Oxidot {
    program: Program,
    directory: tempfile::TempDir,
    own_port: u16,
}

impl Oxidot {
    /// Starts with this configuration and waits until it runs. Its own metrics are on a free port.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_with(config, |_| {})
    }

    /// The same, with a change to the command line or environment.
    pub(crate) fn start_with(config: &str, change: impl FnOnce(&mut Command)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.yaml");
        std::fs::write(&file, config).unwrap();
        let own_port = free_port();
        let mut command = command(&["--config", &file.to_string_lossy(), "--config", &own_metrics_at(own_port)]);
        change(&mut command);
        let mut program = Program::start(&mut command);
        program.wait_for_line("Everything is ready");
        Self { program, directory, own_port }
    }

    /// Starts with this configuration and waits until it has ended; returns its exit code and what it printed.
    pub(crate) fn fails(config: &str) -> (Option<i32>, String) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.yaml");
        std::fs::write(&file, config).unwrap();
        let own = own_metrics_at(free_port());
        let mut program = Program::start(&mut command(&["--config", &file.to_string_lossy(), "--config", &own]));
        let code = program.wait().code();
        (code, program.output())
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.program.id()
    }

    /// Its configuration file.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.directory.path().join("config.yaml")
    }

    /// Exchanges the configuration file and asks for it to be read.
    pub(crate) fn reload(&self, config: &str) {
        std::fs::write(self.config_file(), config).unwrap();
        self.signal("HUP");
    }

    pub(crate) fn signal(&self, signal: &str) {
        self.program.signal(signal);
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.program.wait()
    }

    /// Waits for the process to end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.program.wait()
    }

    pub(crate) fn log(&self) -> String {
        self.program.output()
    }

    pub(crate) fn wait_for_log(&mut self, text: &str) -> String {
        self.program.wait_for_line(text)
    }

    pub(crate) fn wait_for_logs(&mut self, text: &str, count: usize) -> String {
        self.program.wait_for_lines(text, count)
    }

    pub(crate) fn resident_bytes(&self) -> u64 {
        self.program.resident_bytes()
    }

    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.program.cpu_seconds()
    }

    /// The page of its own metrics.
    pub(crate) fn own_page(&self) -> String {
        let answer = http::get(self.own_port, "/metrics").expect("own metrics are served");
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// The sum of all own metrics of this name whose labels contain `parts`; 0 if there is none.
    pub(crate) fn own(&self, name: &str, parts: &[&str]) -> f64 {
        total(&self.own_page(), name, parts)
    }

    /// Waits until all that was taken in is delivered or given up; for when nothing more comes in. Returns the
    /// number of points that were taken in.
    pub(crate) fn wait_until_settled(&self) -> u64 {
        let mut before = None;
        let mut accepted = 0.0;
        wait_until("all points to be delivered or given up", || {
            let page = self.own_page();
            accepted = total(&page, "otelcol_receiver_accepted_metric_points", &[]);
            let sent = total(&page, "otelcol_exporter_sent_metric_points", &[]);
            let failed = total(&page, "otelcol_exporter_send_failed_metric_points", &[]);
            let waiting = total(&page, "otelcol_exporter_queue_size", &[]);
            let now = (accepted, sent, failed, waiting);
            let settled = accepted == sent + failed && waiting == 0.0 && before == Some(now);
            before = Some(now);
            settled
        });
        accepted as u64
    }
}

/// A configuration that only says where own metrics are served.
pub(crate) fn own_metrics_at(port: u16) -> String {
    format!(
        "yaml:service: {{telemetry: {{metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {port}}}}}}}}}]}}}}}}"
    )
}

/// The sum of the values on a page in text format of this name whose labels contain `parts`.
pub(crate) fn total(page: &str, name: &str, parts: &[&str]) -> f64 {
    let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    page.lines()
        .filter(of_name)
        .filter(|line| parts.iter().all(|part| line.contains(part)))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

/// A file of targets for `file_sd_configs`, written so that a reader sees the old or the new one.
pub(crate) fn write_targets(file: &Path, addresses: &[&str]) {
    let new = file.with_extension("new");
    let addresses: Vec<String> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
    std::fs::write(&new, format!("[{{\"targets\": [{}]}}]", addresses.join(", "))).unwrap();
    std::fs::rename(&new, file).unwrap();
}

/// A job whose targets are in a file.
pub(crate) fn file_job(name: &str, file: &Path, interval: &str) -> String {
    format!(
        "{{job_name: {name}, scrape_interval: {interval}, scrape_timeout: {interval}, file_sd_configs: [{{files: [\"{}\"]}}]}}",
        file.display()
    )
}
