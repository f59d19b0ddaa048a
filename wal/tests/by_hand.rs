use super::*;
use crate::{AppendError, Backlog, Losses, OpenError};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

#[test]
fn what_is_appended_is_read_in_order_by_every_destination_until_acknowledged() {
    let directory = scratch();
    let log = Log::open(options(directory.path())).unwrap();
    let all: Vec<Vec<u8>> = (0u8..40).map(|n| vec![n; 50 + usize::from(n)]).collect();
    let ends: Vec<Position> = all.iter().map(|payload| append(&log, payload)).collect();
    assert!(log.size().0 > 2, "segments have a bound");
    let (mut a, mut b) = (log.reader(0), log.reader(1));
    assert_eq!(payloads(&mut a), all);
    let read = read_all(&mut b);
    assert_eq!(read.iter().map(|read| read.end).collect::<Vec<_>>(), ends);
    assert!(read.iter().zip(&all).all(|(read, payload)| read.payload == payload.as_slice()));
    assert_eq!(read[3].header.samples, 53);
    assert_eq!((read[3].header.kind, read[3].header.oldest_ms, read[3].header.newest_ms), (3, 1000, 2000));

    // The slower of the two holds the segments.
    let segments = log.size().0;
    log.ack(0, ends[39]).unwrap();
    log.maintain().unwrap();
    assert_eq!(log.size().0, segments);
    log.ack(1, ends[30]).unwrap();
    log.maintain().unwrap();
    assert!(log.size().0 < segments);
    drop((log, a, b));

    let log = Log::open(options(directory.path())).unwrap();
    assert_eq!(payloads(&mut log.reader(0)), Vec::<Vec<u8>>::new());
    assert_eq!(payloads(&mut log.reader(1)), all[31..]);
    assert_eq!(log.backlog(0), Backlog::default());
    let samples: usize = all[31..].iter().map(Vec::len).sum();
    assert_eq!((log.backlog(1).records, log.backlog(1).samples), (9, samples as u64));
    log.ack(1, ends[39]).unwrap();
    log.maintain().unwrap();
    assert_eq!(log.size(), (0, 0));
    assert_eq!((log.losses(0), log.losses(1)), (Losses::default(), Losses::default()));
}

#[test]
fn a_second_process_is_told_who_has_the_directory() {
    let directory = scratch();
    let first = Log::open(options(directory.path())).unwrap();
    let error = Log::open(options(directory.path())).unwrap_err();
    assert!(matches!(&error, OpenError::Locked { holder, .. } if *holder == std::process::id().to_string()));
    assert!(error.to_string().contains("is in use by process"), "{error}");
    // A successor waits for one that ends.
    let path = directory.path().to_owned();
    let patient = Options { lock_timeout: Duration::from_secs(60), ..options(&path) };
    let successor = std::thread::spawn(move || Log::open(patient).map(drop));
    drop(first);
    successor.join().unwrap().unwrap();
}

#[test]
fn a_missing_directory_is_made_or_refused() {
    let directory = scratch();
    let below = directory.path().join("x/y");
    let refusing = Options { create_directory: false, ..options(&below) };
    assert!(matches!(Log::open(refusing), Err(OpenError::Missing { .. })));
    Log::open(options(&below)).unwrap();
    assert!(below.is_dir());
}

#[test]
fn a_later_version_is_refused() {
    let directory = scratch();
    let header = crate::segment::SegmentHeader { version: 2, number: 5, first_record: 0, samples_before: 0 };
    crate::segment::create(directory.path(), header).unwrap();
    assert!(matches!(Log::open(options(directory.path())), Err(OpenError::Version { version: 2, .. })));
}

#[test]
fn beyond_its_size_the_log_drops_the_oldest_and_counts_it() {
    let directory = scratch();
    let limited = Options { max_bytes: Some(8000), ..options(directory.path()) };
    let log = Log::open(limited.clone()).unwrap();
    let mut reader = log.reader(0);
    let all: Vec<Vec<u8>> = (0u8..100).map(|n| vec![n; 200]).collect();
    for (n, payload) in all.iter().enumerate() {
        append(&log, payload);
        if n == 5 {
            assert_eq!(payloads(&mut reader).len(), 6);
        }
        assert!(log.size().1 <= 8000);
    }
    let rest = payloads(&mut reader);
    assert_eq!(rest, all[100 - rest.len()..]);
    let lost = Losses {
        size_records: 94 - rest.len() as u64,
        size_samples: 200 * (94 - rest.len() as u64),
        ..Losses::default()
    };
    assert_eq!(log.losses(0), lost);
    assert_eq!(log.losses(1).size_records, 100 - rest.len() as u64, "who has read nothing has lost more");
    drop((log, reader));
    let log = Log::open(limited).unwrap();
    assert_eq!(payloads(&mut log.reader(0)), rest);
}

static CLOCK: AtomicI64 = AtomicI64::new(2000);

#[test]
fn what_is_too_old_is_dropped_and_counted() {
    let directory = scratch();
    let aging = Options {
        max_age: Some(Duration::from_millis(500)),
        clock: || CLOCK.load(Ordering::Relaxed),
        ..options(directory.path())
    };
    let log = Log::open(aging).unwrap();
    for n in 0..10 {
        append(&log, &[n; 300]);
    }
    let mut reader = log.reader(0);
    assert!(reader.next_now().unwrap().is_some());
    CLOCK.store(2501, Ordering::Relaxed);
    let young = Record { newest_ms: 2100, ..record(&[9; 10]) };
    log.append(None, &young).unwrap();
    let read = reader.next_now().unwrap().unwrap();
    assert_eq!(read.payload, [9u8; 10].as_slice());
    assert_eq!((log.losses(0).age_records, log.losses(0).age_samples), (9, 2700));
    let before = log.size().0;
    log.maintain().unwrap();
    assert!(log.size().0 < before);
    assert_eq!((log.losses(0).age_records, log.losses(0).corrupt_records), (9, 0));
    CLOCK.store(9999, Ordering::Relaxed);
    log.maintain().unwrap();
    assert_eq!(log.size().0, 0);
    assert_eq!(log.losses(1).age_records, 11);
}

#[test]
fn a_full_disk_is_an_error_and_the_log_recovers_by_itself() {
    let directory = scratch();
    let log = Log::open(options(directory.path())).unwrap();
    let mut reader = log.reader(0);
    append(&log, b"before");
    let segment = log.upcoming_segment();
    for room in [0, 10, 55, 60] {
        log.leave_room(Some(room));
        for _ in 0..5 {
            assert!(matches!(log.append(None, &record(&[1; 100])), Err(AppendError::Io { .. })));
        }
    }
    assert_eq!(log.size().0, 1, "no empty segments are left behind");
    assert_eq!(payloads(&mut reader), [b"before"]);
    log.leave_room(None);
    assert!(matches!(log.append(Some(segment), &record(b"x")), Err(AppendError::OtherSegment)));
    let next = log.upcoming_segment();
    log.append(Some(next), &record(b"after")).unwrap();
    assert_eq!(payloads(&mut reader), [b"after"]);
    drop((log, reader));
    let log = Log::open(options(directory.path())).unwrap();
    assert_eq!(payloads(&mut log.reader(1)), [b"before".as_slice(), b"after"]);
    assert_eq!(log.losses(1), Losses::default());
}

#[test]
fn destinations_come_and_go() {
    let directory = scratch();
    let log = Log::open(options(directory.path())).unwrap();
    let end = append(&log, b"1");
    log.ack(0, end).unwrap();
    append(&log, b"2");
    drop(log);
    let long = "x".repeat(300);
    let other = Options { cursors: vec![long.clone(), "a".to_owned()], ..options(directory.path()) };
    let log = Log::open(other.clone()).unwrap();
    assert_eq!(payloads(&mut log.reader(0)), [b"1", b"2"]);
    assert_eq!(payloads(&mut log.reader(1)), [b"2"]);
    log.ack(0, end).unwrap();
    drop(log);
    assert!(!directory.path().join("cursor-b%2f%c3%a4").exists());
    let log = Log::open(other).unwrap();
    assert_eq!(payloads(&mut log.reader(0)), [b"2"]);
}

#[test]
fn a_damaged_cursor_delivers_again_and_a_torn_one_is_the_one_before() {
    let directory = scratch();
    let path = directory.path().join("cursor-a");
    let log = Log::open(options(directory.path())).unwrap();
    let ends = [append(&log, b"1"), append(&log, b"2"), append(&log, b"3")];
    log.ack(0, ends[0]).unwrap();
    log.sync().unwrap();
    let before = std::fs::read(&path).unwrap();
    log.ack(0, ends[1]).unwrap();
    log.ack(0, ends[2]).unwrap();
    drop(log);
    let mut torn = std::fs::read(&path).unwrap();
    let at = torn.iter().zip(&before).position(|(new, old)| new != old).unwrap();
    torn[at] ^= 0x55;
    std::fs::write(&path, &torn).unwrap();
    let log = Log::open(options(directory.path())).unwrap();
    assert_eq!(payloads(&mut log.reader(0)), [b"2", b"3"]);
    drop(log);
    std::fs::write(&path, [7; 9000]).unwrap();
    let log = Log::open(options(directory.path())).unwrap();
    assert_eq!(payloads(&mut log.reader(0)), [b"1", b"2", b"3"]);
}

#[test]
fn records_that_are_too_long_are_refused() {
    let directory = scratch();
    let log = Log::open(options(directory.path())).unwrap();
    let long = vec![0; crate::MAX_PAYLOAD + 1];
    assert!(matches!(log.append(None, &record(&long)), Err(AppendError::TooLong(_))));
    append(&log, &long[1..]);
    assert_eq!(log.reader(0).next_now().unwrap().unwrap().payload.len(), crate::MAX_PAYLOAD);
}

#[tokio::test]
async fn a_reader_waits_for_records_and_loses_none_when_its_wait_is_dropped() {
    let directory = scratch();
    let log = Log::open(options(directory.path())).unwrap();
    let writing = log.clone();
    let writer = tokio::task::spawn_blocking(move || {
        for n in 0..200u8 {
            append(&writing, &[n; 20]);
            if n % 16 == 0 {
                std::thread::yield_now();
            }
        }
    });
    let mut reader = log.reader(0);
    let mut seen = Vec::new();
    while seen.len() < 200 {
        tokio::select! {
            biased;
            () = tokio::task::yield_now(), if seen.len() % 2 == 0 => {
                // Dropped while the pool reads: the record must come with the next call.
                drop(futures_poll_once(&mut reader).await.inspect(|read| seen.push(read.payload[0])));
            }
            read = reader.next_ready() => seen.push(read.unwrap().payload[0]),
        }
    }
    writer.await.unwrap();
    assert_eq!(seen, (0..200u8).collect::<Vec<_>>());
    assert!(!reader.has_more());
}

/// Polls the reader once and drops the future.
async fn futures_poll_once(reader: &mut Reader) -> Option<Read> {
    let mut next = std::pin::pin!(reader.next_ready());
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match next.as_mut().poll(context) {
            std::task::Poll::Ready(read) => Some(read.unwrap()),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn maintenance_syncs_and_deletes_by_itself() {
    let directory = scratch();
    let every = Options { sync: SyncPolicy::Every(Duration::from_millis(10)), ..options(directory.path()) };
    let log = Log::open(every).unwrap();
    let maintained = tokio::spawn(log.clone().maintain_while_open());
    let ends: Vec<Position> = (0..10).map(|n| append(&log, &[n; 400])).collect();
    for cursor in 0..2 {
        log.ack(cursor, ends[9]).unwrap();
    }
    while log.size().0 > 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    maintained.abort();
}

#[test]
fn a_new_destination_begins_where_the_slowest_stood() {
    let directory = scratch();
    let named = |names: &[&str]| Options {
        cursors: names.iter().map(|name| (*name).to_owned()).collect(),
        segment_bytes: 1 << 20,
        ..options(directory.path())
    };
    let ends: Vec<Position> = {
        let log = Log::open(named(&["https://one/a b", "two"])).unwrap();
        let ends = (0u8..10).map(|n| append(&log, &[n; 3])).collect::<Vec<_>>();
        log.ack(0, ends[6]).unwrap();
        log.ack(1, ends[3]).unwrap();
        ends
    };
    let log = Log::open(named(&["two", "three"])).unwrap();
    assert_eq!((log.acked(0), log.acked(1)), (Some(ends[3]), Some(ends[3])));
    log.ack(0, ends[8]).unwrap();
    log.ack(1, ends[7]).unwrap();
    drop(log);
    // Also in place of all that were there.
    let log = Log::open(named(&["four"])).unwrap();
    assert_eq!(log.acked(0), Some(ends[7]));
    assert_eq!(payloads(&mut log.reader(0)), [[8; 3], [9; 3]]);
}

#[test]
fn a_log_that_is_closed_waits_for_those_who_still_read() {
    let directory = scratch();
    let log = Log::open(options(directory.path())).unwrap();
    append(&log, &[1]);
    let other = log.clone();
    let reading = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        drop(other);
    });
    log.close(Duration::from_secs(60)).unwrap();
    // Nobody has to be waited for now.
    Log::open(options(directory.path())).unwrap();
    reading.join().unwrap();
}
