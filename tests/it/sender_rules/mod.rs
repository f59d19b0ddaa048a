//! What the two specifications of remote write ask of a sender, a test for each rule that Prometheus' compliance suite
//! checks: those that it MUST keep, and those that it SHOULD or MAY.
//!
//! The program scrapes a page of the test and writes to a receiver of the test, which keeps what comes and looks at it with a
//! reader of its own. Rules that one page can show share one run of the program.

mod behaviour;
mod content;
mod coverage;
mod independent;
mod labels;
mod metadata;
mod native;
mod page;
mod reading;
mod shape;
mod version1;

use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::support::http::{Reply, Request, Server};
use crate::support::oxidot::{Oxidot, job, scrape_and_write};
use crate::support::page::Target;
use crate::support::wait_until;
use reading::{Message, read_v1, read_v2};

/// What the message of version 2.0 is called.
const V2: &str = "io.prometheus.write.v2.Request";

/// Keys of an exporter that writes at once and tries again soon.
const QUICK: &str = "batch_send_deadline: 20ms, retry_on_failure: {initial_interval: 20ms, max_interval: 400ms}";

/// A request, and when it came.
#[derive(Debug)]
struct Seen {
    at: Instant,
    request: Request,
    method: String,
    message: Message,
}

impl Seen {
    fn is_v2(&self) -> bool {
        self.request.header("content-type").is_some_and(|kind| kind.contains(V2))
    }

    fn version(&self) -> &str {
        self.request.header("x-prometheus-remote-write-version").unwrap_or_default()
    }
}

/// A receiver that answers as it is told and keeps all that comes.
struct Receiver {
    server: Server,
    seen: Arc<Mutex<Vec<Arc<Seen>>>>,
}

/// What to answer the request of this number.
type Script = fn(usize, &Seen) -> Reply;

/// Takes it and says so, as both versions have it.
fn take(_: usize, seen: &Seen) -> Reply {
    let count = |of: fn(&reading::Series) -> usize| seen.message.series.iter().map(of).sum::<usize>().to_string();
    let mut headers = Vec::new();
    if seen.is_v2() {
        headers.push(("X-Prometheus-Remote-Write-Samples-Written", count(|series| series.samples.len())));
        headers.push(("X-Prometheus-Remote-Write-Histograms-Written", count(|series| series.histograms)));
        headers.push(("X-Prometheus-Remote-Write-Exemplars-Written", count(|series| series.exemplars.len())));
    }
    Reply::Answer { status: 204, headers, body: Vec::new() }
}

impl Receiver {
    fn start(script: Script) -> Self {
        let seen: Arc<Mutex<Vec<Arc<Seen>>>> = Arc::default();
        let keeps = Arc::clone(&seen);
        let server = Server::start(move |request| {
            let raw = snap::raw::Decoder::new().decompress_vec(&request.body).expect("the body is a snappy block");
            let v2 = request.header("content-type").is_some_and(|kind| kind.contains(V2));
            let message = if v2 { read_v2(&raw) } else { read_v1(&raw) };
            let method = request.method.clone();
            let one = Arc::new(Seen { at: Instant::now(), request, method, message });
            let number = {
                let mut seen = keeps.lock().unwrap();
                seen.push(Arc::clone(&one));
                seen.len() - 1
            };
            script(number, &one)
        });
        Self { server, seen }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api/v1/write", self.server.port())
    }

    fn seen(&self) -> Vec<Arc<Seen>> {
        self.seen.lock().unwrap().clone()
    }

    fn wait_for(&self, count: usize) -> Vec<Arc<Seen>> {
        wait_until(&format!("{count} requests"), || self.seen.lock().unwrap().len() >= count);
        self.seen()
    }
}

/// Everything that was sent while a page was scraped a few times, and then no more.
struct Run {
    seen: Vec<Arc<Seen>>,
    /// When it began and ended, in milliseconds since the Unix epoch.
    began: i64,
    ended: i64,
}

impl Run {
    /// All series of all requests.
    fn series<'r>(&'r self) -> impl Iterator<Item = &'r reading::Series> + 'r {
        self.seen.iter().flat_map(|seen| &seen.message.series)
    }

    /// The series of this name.
    fn named<'r>(&'r self, name: &'r str) -> impl Iterator<Item = &'r reading::Series> + 'r {
        self.series().filter(move |series| series.label("__name__") == Some(name))
    }

    /// The first series of this name, of which there has to be one.
    fn first(&self, name: &str) -> &reading::Series {
        let named = self.series().find(|series| series.label("__name__") == Some(name));
        named.unwrap_or_else(|| panic!("{name} was not sent"))
    }

    /// The first value of a series.
    fn value(&self, name: &str) -> f64 {
        self.first(name).samples.first().unwrap_or_else(|| panic!("{name} has no sample")).value
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Scrapes `page`, of this type, a few times, and writes in the message `protobuf_message`.
fn run(content_type: &'static str, message: &str, exporter: &str, page: fn(u64) -> String) -> Run {
    let receiver = Receiver::start(take);
    let target = Target::start_typed(content_type, page);
    let began = now_ms();
    let exporter = format!("protobuf_message: {message}, {QUICK}{exporter}");
    let config = scrape_and_write(&job("test", &target.address(), "300ms"), &receiver.url(), &exporter);
    let mut oxidot = Oxidot::start(&config);
    wait_until("four scrapes", || target.scrapes() >= 4);
    wait_until("what was scraped", || {
        receiver.seen().iter().filter(|seen| !seen.message.series.is_empty()).count() >= 3
    });
    assert_eq!(oxidot.end().code(), Some(0), "{}", oxidot.log());
    Run { seen: receiver.seen(), began, ended: now_ms() }
}

/// Makes a test of each rule, and a list of their names.
macro_rules! rules {
    ($run:expr; $($(#[$about:meta])* $name:ident => $check:expr;)*) => {
        $(
            $(#[$about])*
            #[test]
            fn $name() {
                let check: fn(&crate::sender_rules::Run) = $check;
                check($run);
            }
        )*
        pub(super) const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}
use rules;
