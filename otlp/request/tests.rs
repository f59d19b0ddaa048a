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
