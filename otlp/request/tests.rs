//! Requests are counted and cut so that the pieces hold what the whole did.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::wire::{put_bytes, put_message, put_number};
use proptest::prelude::*;

/// A request of traces: for each resource its scopes, for each scope the names of its spans.
fn request(resources: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (r, scopes) in resources.iter().enumerate() {
        put_message(&mut out, 1, |out| {
            put_message(out, 1, |out| put_number(out, 2, r as u64));
            for (s, spans) in scopes.iter().enumerate() {
                put_message(out, 2, |out| {
                    put_message(out, 1, |out| put_bytes(out, 1, format!("scope {s}").as_bytes()));
                    for span in spans {
                        put_message(out, 2, |out| put_bytes(out, 5, &[b'a' + span % 26]));
                    }
                });
            }
            put_bytes(out, 3, b"url");
        });
    }
    out
}

/// Each span with the bytes around it.
fn spans(body: &[u8]) -> Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    for resource in fields(body, 1) {
        for scope in fields(resource, CHILDREN) {
            for span in fields(scope, CHILDREN) {
                all.push((without_children(resource), without_children(scope), span.to_vec()));
            }
        }
    }
    all
}

proptest! {
    #[test]
    fn pieces_hold_what_the_whole_did(
        resources in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 0..4), 0..4),
        first in 0usize..6,
        max in 1usize..6,
    ) {
        let body = Bytes::from(request(&resources));
        let items = check(Signal::Traces, &body).unwrap();
        prop_assert_eq!(items, spans(&body).len());
        let pieces = split(&body, items, first, max);
        let mut together = Vec::new();
        let last = pieces.len() - 1;
        for (at, (piece, count)) in pieces.iter().enumerate() {
            prop_assert_eq!(check(Signal::Traces, piece).unwrap(), *count);
            let full = if at == 0 && first > 0 { first } else { max };
            prop_assert!(*count == full || (at == last && *count <= full), "{} of {}", count, full);
            together.extend_from_slice(piece);
        }
        prop_assert_eq!(spans(&together), spans(&body));
    }

    #[test]
    fn any_bytes_are_checked_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for signal in [Signal::Metrics, Signal::Traces, Signal::Logs] {
            let checked = check(signal, &bytes);
            prop_assert!(checked.is_err() || checked.unwrap() <= bytes.len());
        }
    }
}

#[test]
fn what_cannot_be_decoded_is_named() {
    let mut wrong_type = Vec::new();
    put_number(&mut wrong_type, 1, 5);
    let error = check(Signal::Logs, &wrong_type).unwrap_err();
    assert_eq!(error.to_string(), "wrong wire type for field 1 of ExportLogsServiceRequest");
    let good = request(&[vec![vec![1, 2]]]);
    assert_eq!(check(Signal::Traces, &good[..good.len() - 1]), Err(DecodeError::Truncated));
    assert_eq!(check(Signal::Traces, b""), Ok(0));
    assert_eq!(check(Signal::Traces, &[0x0b]), Err(DecodeError::Tag(0x0b)));
    let mut deep = Vec::new();
    for _ in 0..200 {
        let mut outer = Vec::new();
        put_message(&mut outer, 5, |out| put_bytes(out, 1, &deep));
        deep = outer;
    }
    let mut log = Vec::new();
    put_message(&mut log, 1, |out| put_message(out, 2, |out| put_message(out, 2, |out| put_bytes(out, 5, &deep))));
    assert_eq!(check(Signal::Logs, &log), Err(DecodeError::TooDeep));
}

/// A request of metrics: for each scope of one resource its metrics, for each metric the field of its data and the number of points.
fn metrics(scopes: &[Vec<(u32, usize)>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut serial = 0;
    put_message(&mut out, 1, |out| {
        put_message(out, 1, |out| put_number(out, 2, 7));
        for scope in scopes {
            put_message(out, 2, |out| {
                put_message(out, 1, |out| put_bytes(out, 1, b"scope"));
                for (data, points) in scope {
                    put_message(out, 2, |out| {
                        put_bytes(out, 1, format!("metric {serial}").as_bytes());
                        put_message(out, *data, |out| {
                            for _ in 0..*points {
                                serial += 1;
                                put_message(out, 1, |out| wire::put_fixed64(out, 3, serial));
                            }
                            put_number(out, 2, 2);
                        });
                        put_message(out, 12, |out| put_bytes(out, 1, b"metadata"));
                    });
                }
                put_bytes(out, 3, b"url");
            });
        }
    });
    out
}

/// Each point with what is said about it: resource, scope, metric without its points.
fn points(body: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    for resource in fields(body, 1) {
        for scope in fields(resource, CHILDREN) {
            for metric in fields(scope, CHILDREN) {
                let alone = |point: &[u8]| {
                    let mut only = without_children(resource);
                    put_message(&mut only, CHILDREN, |out| {
                        out.extend_from_slice(&without_children(scope));
                        put_bytes(out, CHILDREN, point);
                    });
                    let mut request = Vec::new();
                    put_bytes(&mut request, 1, &only);
                    crate::json::from_protobuf(Signal::Metrics, &request).unwrap()
                };
                for data in DATA {
                    for found in fields(metric, data) {
                        let count = fields(found, 1).count();
                        let mut rest = count;
                        for point in fields(found, 1) {
                            rest -= 1;
                            // The metric with this point and no other one.
                            let mut single = Vec::new();
                            put_bytes(&mut single, 1, fields(metric, 1).next().unwrap());
                            put_message(&mut single, data, |out| {
                                put_bytes(out, 1, point);
                                put_number(out, 2, 2);
                            });
                            put_bytes(&mut single, 12, fields(metric, 12).next().unwrap());
                            all.push(alone(&single));
                        }
                        assert_eq!(rest, 0);
                    }
                }
            }
        }
    }
    all
}

const DATA: [u32; 5] = [5, 7, 9, 10, 11];

proptest! {
    #[test]
    fn pieces_of_metrics_hold_what_the_whole_did(
        scopes in prop::collection::vec(prop::collection::vec((0usize..5, 0usize..7), 0..4), 0..4),
        max in 1usize..6,
    ) {
        let scopes: Vec<Vec<(u32, usize)>> =
            scopes.iter().map(|scope| scope.iter().map(|(data, points)| (DATA[*data], *points)).collect()).collect();
        let body = Bytes::from(metrics(&scopes));
        let count = check(Signal::Metrics, &body).unwrap();
        let pieces = split_points(&body, count, max);
        let mut together = Vec::new();
        for (at, (piece, points)) in pieces.iter().enumerate() {
            prop_assert_eq!(check(Signal::Metrics, piece).unwrap(), *points);
            prop_assert!(*points == max || (at == pieces.len() - 1 && *points <= max), "{} of {}", points, max);
            together.extend_from_slice(piece);
        }
        prop_assert_eq!(points(&together), points(&body));
    }
}
