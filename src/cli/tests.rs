//! Tests of the command line and the health probe.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::TcpListener;
use std::thread;

use super::*;

fn line(text: &str) -> Result<Command, Exit> {
    parse(text.split(' ').map(OsString::from))
}

fn config(uris: &[&str], sets: &[&str]) -> ConfigArgs {
    ConfigArgs {
        uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
        sets: sets.iter().map(|set| (*set).to_owned()).collect(),
    }
}

fn run(uris: &[&str], sets: &[&str]) -> Command {
    Command::Run(Options { config: config(uris, sets), gates: FeatureGates::default() })
}

#[test]
fn flags_are_taken_as_go_takes_them() {
    assert_eq!(line("oxidot"), Ok(run(&[], &[])));
    for text in [
        "oxidot --config a --config b --set x.y=-1",
        "/awscollector --config=a --config=b --set=x.y=-1",
        "oxidot -config a -config=b -set x.y=-1",
    ] {
        assert_eq!(line(text), Ok(run(&["a", "b"], &["x.y=-1"])), "{text}");
    }
    let gates = "confmap.enableMergeAppendOption";
    for text in [format!("oxidot --feature-gates=+{gates}"), format!("oxidot -feature-gates {gates}")] {
        let Ok(Command::Run(options)) = line(&text) else { panic!("{text}") };
        assert!(options.gates.is_enabled(gates));
    }
    let off = "exporter.xray.allowDot";
    let Ok(Command::Run(options)) = line(&format!("oxidot --feature-gates -{off}")) else { panic!() };
    assert!(!options.gates.is_enabled(off));
}

#[test]
fn subcommands_take_flags_before_and_after() {
    let expected = Command::Validate(Options { config: config(&["a"], &[]), gates: FeatureGates::default() });
    assert_eq!(line("oxidot validate --config a"), Ok(expected.clone()));
    assert_eq!(line("oxidot -config=a validate"), Ok(expected));
    assert_eq!(line("oxidot components"), Ok(Command::Components));
    let print = |format, redaction| {
        Ok(Command::PrintConfig {
            options: Options { config: config(&["a"], &[]), gates: FeatureGates::default() },
            format,
            redaction,
        })
    };
    assert_eq!(line("oxidot print-config --config a"), print(Format::Yaml, Redaction::Redacted));
    assert_eq!(
        line("oxidot print-config -config a -format=json --mode unredacted"),
        print(Format::Json, Redaction::Unredacted)
    );
}

#[test]
fn the_probe_is_a_subcommand_and_a_name() {
    for (text, port) in [
        ("oxidot healthcheck", 13133),
        ("oxidot healthcheck --port 8080", 8080),
        ("/healthcheck", 13133),
        ("/healthcheck -port 8080", 8080),
        ("healthcheck --port=1", 1),
        ("C:/x/healthcheck.exe -port=65535", 65535),
    ] {
        assert_eq!(line(text), Ok(Command::Healthcheck { port }), "{text}");
    }
    for (text, message) in [
        ("/healthcheck --port x", "invalid port: \"x\""),
        ("/healthcheck --port 0", "port outside of range [1:65535]: 0"),
        ("/healthcheck --port -5", "port outside of range [1:65535]: -5"),
        ("/healthcheck --port 65536", "port outside of range [1:65535]: 65536"),
    ] {
        let exit = line(text).unwrap_err();
        assert!(exit.text.contains(message) && exit.code == 1, "{exit:?}");
    }
}

#[test]
fn mistakes_are_explained() {
    for (text, message) in [
        ("oxidot --set a.b", "invalid value \"a.b\" for flag -set: missing equal sign"),
        ("oxidot --feature-gates=+nope", "no such feature gate \"nope\". valid gates: [adot.exporter.*"),
        ("oxidot --confg x", "--config"),
        ("oxidot validat", "validate"),
        ("oxidot print-config --format xml", "yaml"),
    ] {
        let exit = line(text).unwrap_err();
        assert!(exit.text.contains(message), "{}", exit.text);
        assert_eq!(exit.code, 1);
    }
    let version = line("oxidot --version").unwrap_err();
    assert_eq!((version.text, version.code), (format!("oxidot version {}\n", env!("CARGO_PKG_VERSION")), 0));
    let help = line("oxidot -help").unwrap_err();
    assert!(help.code == 0 && help.text.contains("print-config") && help.text.contains("--feature-gates"), "{help:?}");
}

/// Serves one request with `answer`; returns the port and what was asked.
fn serve(answer: &'static str) -> (u16, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut chunk = [0; 256];
        while !request.ends_with(b"\r\n\r\n") {
            let count = stream.read(&mut chunk).unwrap();
            request.extend_from_slice(&chunk[..count]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    });
    (port, served)
}

#[test]
fn the_probe_tells_the_status() {
    for (answer, code, text) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 0, "STATUS: 200"),
        ("HTTP/1.1 500 Internal Server Error\r\n\r\n", 1, "STATUS: 500"),
        ("HTTP/1.1 503 x\r\n\r\n", 1, "STATUS: 503"),
        ("SSH-2.0-OpenSSH\r\n", 1, "unable to retrieve health status: the answer is not HTTP"),
        ("", 1, "unable to retrieve health status: the answer is not HTTP"),
    ] {
        let (port, served) = serve(answer);
        let mut out = Vec::new();
        assert_eq!(run_healthcheck(port, &mut out), code);
        let out = String::from_utf8(out).unwrap();
        let (stamp, rest) = out.split_at(20);
        assert_eq!(rest, format!("{text}\n"));
        let shape: String = stamp.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000/00/00 00:00:00 ");
        let request = served.join().unwrap();
        assert!(request.starts_with("GET / HTTP/1.1\r\nHost: 127.0.0.1:"), "{request}");
    }
}

#[test]
fn the_probe_fails_when_nobody_listens() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut out = Vec::new();
    assert_eq!(run_healthcheck(port, &mut out), 1);
    assert!(String::from_utf8(out).unwrap().contains("unable to retrieve health status: "));
}

#[test]
fn dates_are_right() {
    for (seconds, text) in [
        (0, "1970/01/01 00:00:00"),
        (951_782_399, "2000/02/28 23:59:59"),
        (951_782_400, "2000/02/29 00:00:00"),
        (1_709_251_199, "2024/02/29 23:59:59"),
        (1_767_225_599, "2025/12/31 23:59:59"),
        (4_107_542_400, "2100/03/01 00:00:00"),
    ] {
        assert_eq!(go_timestamp(seconds), text);
    }
}
