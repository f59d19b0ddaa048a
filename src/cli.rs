//! The command line. It is only read here; `main.rs` does what it says.
//!
//! Flags are those of the ADOT Collector, Go's single-dash long forms (`-config=x`) included, and the subcommands
//! those of the upstream Collector. Called as `healthcheck`, as the ADOT image does, the program is its health
//! probe; under any other name it is the collector.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::error::ErrorKind;
use clap::{Parser, Subcommand, ValueEnum};
use pipeline::config::Redaction;

use crate::config::{ConfigArgs, FeatureGates, Format};

/// Where the health extension listens unless told otherwise.
const HEALTH_PORT: u16 = 13133;

/// How long the probe waits for each step of an answer; orchestrators give a probe 3 to 6 seconds.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Only the status line of the answer matters; more than this is not read.
const PROBE_ANSWER: u64 = 4096;

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Run the service.
    Run(Options),
    /// Check the configuration and exit.
    Validate(Options),
    /// Try what the exporters need, and say what to do where it fails.
    Doctor {
        /// Which configuration.
        options: Options,
        /// Write one sample instead of none.
        canary: bool,
    },
    /// List the components of this binary.
    Components,
    /// Print the configuration after merging and expansion.
    PrintConfig {
        /// Which configuration.
        options: Options,
        /// YAML or JSON.
        format: Format,
        /// Whether secrets are printed.
        redaction: Redaction,
    },
    /// Ask a running service how it is.
    Healthcheck {
        /// The port on 127.0.0.1.
        port: u16,
    },
}

/// What all commands that read a configuration share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `--config` and `--set`.
    pub config: ConfigArgs,
    /// `--feature-gates`.
    pub gates: FeatureGates,
}

/// The program ends right after reading the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// What to print, line breaks included.
    pub text: String,
    /// The exit code: 0 after `--help` and `--version`, whose text goes to standard output, else 1.
    pub code: u8,
}

impl Exit {
    /// A message for standard error.
    fn failure(message: impl std::fmt::Display) -> Self {
        Self { text: format!("error: {message}\n"), code: 1 }
    }
}

/// Oxidot collects metrics and delivers them to Prometheus remote-write stores.
#[derive(Debug, Parser)]
#[command(name = "oxidot", version = concat!("version ", env!("CARGO_PKG_VERSION")), disable_help_subcommand = true)]
struct Arguments {
    #[command(flatten)]
    shared: SharedArguments,
    #[command(subcommand)]
    command: Option<Subcommands>,
}

#[derive(Debug, clap::Args)]
struct SharedArguments {
    /// Configuration: a file, or file:, env:, yaml:, http: or https: and where to find it; may be repeated, later ones win
    #[arg(long = "config", value_name = "URI", global = true)]
    configs: Vec<String>,
    /// One setting, like exporters.debug.verbosity=normal; wins over all files; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", global = true, allow_hyphen_values = true)]
    sets: Vec<String>,
    /// Feature gates to switch on (+this) or off (-that), with commas between
    #[arg(long = "feature-gates", value_name = "GATES", global = true, allow_hyphen_values = true)]
    gates: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Check the configuration, report everything that is wrong with it, and exit
    Validate,
    /// Try what every exporter needs (credentials, network, permission) and say what to do; exit code 0 if all is well, 1 if not, 2 if the configuration is not valid
    Doctor {
        /// Write one sample, oxidot_doctor_canary, instead of an empty request
        #[arg(long)]
        canary: bool,
    },
    /// List the components of this binary
    Components,
    /// Print the configuration after merging and expansion
    PrintConfig {
        /// How to print it
        #[arg(long, value_enum, default_value_t = FormatArgument::Yaml)]
        format: FormatArgument,
        /// Whether secrets are printed
        #[arg(long, value_enum, default_value_t = ModeArgument::Redacted)]
        mode: ModeArgument,
    },
    /// Ask the service on this machine for its health; exit code 0 if it is well
    Healthcheck {
        /// Port of the health_check extension
        #[arg(long, default_value_t = HEALTH_PORT.to_string(), allow_hyphen_values = true)]
        port: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatArgument {
    Yaml,
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ModeArgument {
    Redacted,
    Unredacted,
}

/// Reads the command line, whose first item is the name the program was called by.
///
/// # Errors
/// The text to end with: help, version, or what is wrong.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Exit> {
    let mut arguments = arguments.into_iter();
    let name = arguments.next().unwrap_or_default();
    let mut line = vec![OsString::from("oxidot")];
    let called = Path::new(&name).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if called == "healthcheck" {
        line.push(OsString::from("healthcheck"));
    }
    line.extend(arguments.map(normalise));
    let arguments = Arguments::try_parse_from(line).map_err(|error| exit_for(&error))?;
    match arguments.command {
        None => Ok(Command::Run(options(arguments.shared)?)),
        Some(Subcommands::Validate) => Ok(Command::Validate(options(arguments.shared)?)),
        Some(Subcommands::Doctor { canary }) => Ok(Command::Doctor { options: options(arguments.shared)?, canary }),
        Some(Subcommands::Components) => Ok(Command::Components),
        Some(Subcommands::PrintConfig { format, mode }) => Ok(Command::PrintConfig {
            options: options(arguments.shared)?,
            format: match format {
                FormatArgument::Yaml => Format::Yaml,
                FormatArgument::Json => Format::Json,
            },
            redaction: match mode {
                ModeArgument::Redacted => Redaction::Redacted,
                ModeArgument::Unredacted => Redaction::Unredacted,
            },
        }),
        Some(Subcommands::Healthcheck { port }) => parse_port(&port).map(|port| Command::Healthcheck { port }),
    }
}

fn options(shared: SharedArguments) -> Result<Options, Exit> {
    if let Some(set) = shared.sets.iter().find(|set| !set.contains('=')) {
        return Err(Exit::failure(format!("invalid value {set:?} for flag -set: missing equal sign")));
    }
    let gates = FeatureGates::parse(shared.gates.iter().map(String::as_str))
        .map_err(|error| Exit::failure(format!("invalid value for flag -feature-gates: {error}")))?;
    Ok(Options { config: ConfigArgs { uris: shared.configs, sets: shared.sets }, gates })
}

/// Go takes `-flag` for `--flag`, so command lines in the field have both.
fn normalise(argument: OsString) -> OsString {
    const LONG: &[&str] = &["config", "set", "feature-gates", "port", "format", "mode", "canary", "version", "help"];
    let known = argument
        .to_str()
        .and_then(|text| text.strip_prefix('-'))
        .filter(|text| LONG.contains(&text.split('=').next().unwrap_or_default()));
    match known {
        Some(text) => OsString::from(format!("--{text}")),
        None => argument,
    }
}

fn exit_for(error: &clap::Error) -> Exit {
    let code = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
        _ => 1,
    };
    Exit { text: error.render().to_string(), code }
}

fn parse_port(text: &str) -> Result<u16, Exit> {
    let Ok(port) = text.parse::<i64>() else {
        return Err(Exit::failure(format!("invalid port: {text:?} is not a number")));
    };
    match u16::try_from(port) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(Exit::failure(format!("port outside of range [1:65535]: {port}"))),
    }
}

/// Asks `http://127.0.0.1:<port>/` and returns the exit code: 0 for status 200, else 1. What happened is written
/// to `out`, standard error in the program, with the time (UTC) before it as Go's log does.
pub fn run_healthcheck(port: u16, out: &mut impl Write) -> u8 {
    let (line, code) = match probe(port) {
        Ok(200) => ("STATUS: 200".to_owned(), 0),
        Ok(status) => (format!("STATUS: {status}"), 1),
        Err(error) => (format!("unable to retrieve health status: {error}"), 1),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // The exit code is the answer; that nobody reads standard error must not change it.
    match writeln!(out, "{} {line}", go_timestamp(now)) {
        Ok(()) | Err(_) => code,
    }
}

/// The status code of one GET.
fn probe(port: u16) -> io::Result<u16> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PROBE_TIMEOUT)?;
    stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
    stream.set_write_timeout(Some(PROBE_TIMEOUT))?;
    let agent = concat!("oxidot/", env!("CARGO_PKG_VERSION"));
    write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut chunk = [0_u8; 512];
    let mut limited = stream.take(PROBE_ANSWER);
    while !answer.contains(&b'\n') {
        match limited.read(&mut chunk)? {
            0 => break,
            count => answer.extend_from_slice(chunk.get(..count).unwrap_or_default()),
        }
    }
    let line = String::from_utf8_lossy(&answer);
    let mut words = line.lines().next().unwrap_or_default().split(' ');
    let protocol = words.next().unwrap_or_default();
    match words.next().and_then(|status| status.parse().ok()) {
        Some(status) if protocol.starts_with("HTTP/") => Ok(status),
        _ => Err(io::Error::other("the answer is not HTTP")),
    }
}

/// Seconds since 1970 as `2006/01/02 15:04:05`.
fn go_timestamp(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_date(days);
    format!("{year:04}/{month:02}/{day:02} {:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// The Gregorian date that lies `days` after 1970-01-01, counted in 400-year eras that begin in March.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests;
