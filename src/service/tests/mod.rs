#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod connecting;
mod lifecycle;
mod parts;
mod planning;
mod reload;

use self::parts::{PARTS, Probe};
use super::*;
use crate::config::ServiceConfig;
use pipeline::config::parse;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const PROGRAM: Program = Program { name: "oxidot", version: "0.0.0" };

/// The graph of a file.
fn graph(text: &str) -> Graph {
    let root = parse(text, "test.yaml").unwrap();
    Graph::of(&ServiceConfig::read(&root, &PARTS, false).unwrap(), PARTS)
}

/// Configurations that reloads find, one after the other.
#[derive(Clone, Default)]
struct Prepared(Arc<parking_lot::Mutex<(Loads, usize)>>);

/// What reloads will find.
type Loads = VecDeque<Result<Graph, String>>;

impl Source for Prepared {
    type Error = String;

    async fn load(&mut self) -> Result<Graph, String> {
        self.0.lock().0.pop_front().expect("a configuration for every reload")
    }

    fn in_force(&mut self) {
        self.0.lock().1 += 1;
    }
}

impl Prepared {
    fn times_in_force(&self) -> usize {
        self.0.lock().1
    }
}

/// A service that runs in a task.
struct Running {
    probe: Arc<Probe>,
    telemetry: Telemetry,
    source: Prepared,
    requests: mpsc::Sender<Request>,
    task: JoinHandle<Result<(), ServiceError>>,
}

/// Starts a service whose components find the probe called `name`.
fn run(name: &str, text: &str) -> Running {
    run_with(Probe::new(name), text)
}

fn run_with(probe: Arc<Probe>, text: &str) -> Running {
    let telemetry = Telemetry::default();
    let source = Prepared::default();
    let (requests, mut receiver) = mpsc::channel(8);
    let service = Service::new(PROGRAM, telemetry.clone(), DRAIN_DEADLINE);
    let (graph, mut loads) = (graph(text), source.clone());
    let task = tokio::spawn(async move { service.run(graph, &mut loads, &mut receiver).await });
    Running { probe, telemetry, source, requests, task }
}

impl Running {
    async fn ask(&self, request: Request) {
        self.requests.send(request).await.unwrap();
    }

    async fn reload(&self, text: &str) {
        self.source.0.lock().0.push_back(Ok(graph(text)));
        self.ask(Request::Reload).await;
    }

    async fn stop(self) -> Result<(), ServiceError> {
        self.ask(Request::Stop).await;
        self.task.await.unwrap()
    }
}
