//! The program's entry: reads the command line and does what it says.

use oxidot::cli::{self, Command, Options};
use oxidot::components::Components;
use oxidot::config::print_config;
use oxidot::default_config;
use oxidot::doctor::{self, DoctorOptions};
use oxidot::run::{PROGRAM, Resolver, RunError, run};
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// Series come and go on all threads; mimalloc gives memory back and stays small under that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code of a service that was asked to end and could not deliver all before that.
const LOST: u8 = 3;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(command) => execute(command),
        Err(exit) if exit.code == 0 => print(exit.text),
        Err(exit) => fail(exit.text.trim_end()),
    }
}

fn execute(command: Command) -> ExitCode {
    match command {
        Command::Run(options) => match run(options) {
            Ok(()) => ExitCode::SUCCESS,
            // One problem a line, as editors and people like it.
            Err(RunError::Config(errors)) => fail(errors),
            Err(error) if error.is_loss() => {
                say(format_args!("error: {error}"));
                ExitCode::from(LOST)
            }
            Err(error) => fail(format_args!("error: {error}")),
        },
        Command::Validate(options) => match resolver(options).resolve() {
            Ok(resolved) => {
                for warning in &resolved.warnings {
                    say(format_args!("warning: {warning}"));
                }
                ExitCode::SUCCESS
            }
            Err(errors) => fail(errors),
        },
        Command::Doctor { options, canary } => doctor(options, canary),
        Command::Components => print(Components::default().describe(PROGRAM.version)),
        Command::PrintConfig { options, format, redaction } => match resolver(options).load() {
            Ok(loaded) => print(print_config(&loaded.root, format, redaction)),
            Err(errors) => fail(errors),
        },
        Command::Healthcheck { port } => ExitCode::from(cli::run_healthcheck(port, &mut io::stderr())),
    }
}

/// Exit code 2 is for a configuration that is not valid: then nothing was tried.
fn doctor(options: Options, canary: bool) -> ExitCode {
    let resolved = match Resolver::new(options, None).resolve() {
        Ok(resolved) => resolved,
        Err(errors) => {
            say(errors);
            return ExitCode::from(2);
        }
    };
    for warning in &resolved.warnings {
        say(format_args!("warning: {warning}"));
    }
    match doctor::run(&resolved.graph, DoctorOptions { canary }) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(format_args!("error: cannot start: {error}")),
    }
}

/// Reads what `options` name, and without that the default as it is in the repository.
fn resolver(options: Options) -> Resolver {
    Resolver::new(options, Some(default_config::as_written()))
}

/// Prints what was asked for.
fn print(text: String) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Ok(()) => ExitCode::SUCCESS,
        // `oxidot components | head` is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(format_args!("error: cannot write: {error}")),
    }
}

/// Reports why the program ends.
fn fail(text: impl Display) -> ExitCode {
    say(text);
    ExitCode::FAILURE
}

fn say(text: impl Display) {
    // Nobody is left to tell if this fails.
    writeln!(io::stderr(), "{text}").unwrap_or_default();
}
