//! What a seed stands for.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use super::super::ledger::Culprits;
use super::super::random::Random;

/// What else happens, besides stores that fail and ends of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Face {
    Plain,
    FullDisk,
    Damage,
}

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) version_2: bool,
    pub(super) destinations: usize,
    /// Whether there is a log.
    pub(super) logged: bool,
    pub(super) face: Face,
    pub(super) culprits: Culprits,
    pub(super) origins: u32,
    /// Series of each origin.
    pub(super) series: u32,
    pub(super) steps: u64,
    /// The longest pause between two steps, in milliseconds.
    pub(super) pause_ms: u64,
    /// After one in so many steps something happens to the program; beyond the number of steps: never.
    pub(super) events: u64,
    pub(super) shards: u64,
    pub(super) per_send: u64,
    fsync: &'static str,
    linger_ms: u64,
    queue: u64,
    /// Seconds until a request is given up; 0 for never.
    max_elapsed: u64,
}

impl Plan {
    pub(super) fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        let logged = !random.one_in(4);
        let face = match random.below(8) {
            0 | 1 if logged => Face::Damage,
            2 if logged => Face::FullDisk,
            _ => Face::Plain,
        };
        let (origins, series) = (random.between(1..=4) as u32, random.between(3..=40) as u32);
        let per_send = random.pick(&[1, 7, 30, 150, 400]);
        let culprits = match random.below(4) {
            // Damage is weighed to the sample, so that nothing else is to be missing.
            _ if face == Face::Damage => (0, None),
            0 => (0, None),
            1 => (0, Some(random.below(u64::from(origins * series)) as u32)),
            // No more of them in a request than its budget finds for sure: beyond that, others are given up with them. The largest
            // requests have 400 samples, in which each takes nine cuts, and there are a hundred for single ones.
            _ => (random.between(8.max(per_send / 4)..=400), None),
        };
        Self {
            seed,
            version_2: random.one_in(2),
            destinations: if random.one_in(3) { 2 } else { 1 },
            logged,
            face,
            culprits: Culprits { seed, one_in: culprits.0, series: culprits.1 },
            origins,
            series,
            steps: random.between(20..=90),
            pause_ms: random.pick(&[20, 200, 1000, 3000]),
            events: if random.one_in(5) { 1000 } else { random.between(6..=20) },
            shards: random.between(1..=6),
            per_send,
            fsync: random.pick(&["interval", "interval", "always", "never"]),
            linger_ms: random.pick(&[10, 100, 1000]),
            queue: random.between(1..=40),
            max_elapsed: if logged || !random.one_in(4) { 0 } else { 20 },
        }
    }

    /// The exporter's block. The number of the life goes with each request.
    pub(super) fn yaml(&self, stores: &[SocketAddr], life: u64, directory: &Path) -> String {
        let mut yaml = format!(
            "target_info: {{enabled: false}}\nkeep_scraped_names: true\ntimeout: 2s\nsend_metadata: {}\n\
             batch_send_deadline: {}ms\nmax_samples_per_send: {}\n\
             remote_write_queue: {{num_consumers: {shards}, min_shards: {}, queue_size: {}}}\n\
             retry_on_failure: {{initial_interval: 50ms, max_interval: 2s, max_elapsed_time: {}s}}\n",
            self.seed.is_multiple_of(3),
            self.linger_ms,
            self.per_send,
            1 + self.seed % self.shards,
            self.queue,
            self.max_elapsed,
            shards = self.shards,
        );
        if self.version_2 {
            yaml.push_str("protobuf_message: io.prometheus.write.v2.Request\n");
        }
        let url = |store: &SocketAddr| format!("\"http://{store}/api/v1/write?life={life}\"");
        match stores {
            [only] => writeln!(yaml, "name: a\nendpoint: {}", url(only)).unwrap(),
            several => {
                yaml.push_str("endpoints:\n");
                for (store, name) in several.iter().zip(["a", "b"]) {
                    writeln!(yaml, "  - {{name: {name}, endpoint: {}}}", url(store)).unwrap();
                }
            }
        }
        if self.logged {
            writeln!(
                yaml,
                "wal: {{directory: \"{}\", fsync: {}, segment_bytes: 65536, lag_record_frequency: 500ms}}",
                directory.display(),
                self.fsync
            )
            .unwrap();
        }
        yaml
    }
}
