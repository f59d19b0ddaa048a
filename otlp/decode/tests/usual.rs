//! Points that are read the short way come out as those that are read the long way.

use super::*;
use std::sync::Arc;

use pipeline::Series;

/// A field of a number point, or what may stand in the place of one.
#[derive(Clone, Debug)]
enum Piece {
    Start(u64),
    Time(u64),
    Double(u64),
    Int(u64),
    Attribute(u8, u8),
    NotUtf8,
    Exemplar(u64),
    Flags(u64),
    /// The tag of the start in two bytes, which is allowed.
    WideStart(u64),
    Unknown,
    /// What no message holds.
    Broken(u8),
}

impl Piece {
    fn put(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Start(word) => wire::put_fixed64(out, 2, word),
            Self::Time(word) => wire::put_fixed64(out, 3, word),
            Self::Double(word) => wire::put_fixed64(out, 4, word),
            Self::Int(word) => wire::put_fixed64(out, 6, word),
            Self::Attribute(key, value) => {
                let (key, value) = (format!("key.{key}"), "v".repeat(usize::from(value) * 60));
                crate::attributes::put(out, 7, [(key.as_str(), AttributeValue::Str(&value))]);
            }
            Self::NotUtf8 => wire::put_message(out, 7, |out| wire::put_bytes(out, 1, &[0xff])),
            Self::Exemplar(word) => wire::put_message(out, 5, |out| wire::put_fixed64(out, 3, word)),
            Self::Flags(flags) => wire::put_number(out, 8, flags),
            Self::WideStart(word) => {
                out.extend_from_slice(&[0x91, 0]);
                out.extend_from_slice(&word.to_le_bytes());
            }
            Self::Unknown => wire::put_number(out, 20, 300),
            Self::Broken(byte) => out.push(byte),
        }
    }
}

fn word() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(0x7ff8_0000_0000_0001), any::<u64>()]
}

fn attributes() -> impl Strategy<Value = Vec<Piece>> {
    prop::collection::vec((0..3_u8, 0..4_u8).prop_map(|(key, value)| Piece::Attribute(key, value)), 0..4)
}

/// As encoders write it, with or without a start.
fn usual() -> impl Strategy<Value = Vec<Piece>> {
    let value = prop_oneof![word().prop_map(Piece::Double), word().prop_map(Piece::Int)];
    (prop::option::of(word()), word(), value, attributes()).prop_map(|(start, time, value, attributes)| {
        start.map(Piece::Start).into_iter().chain([Piece::Time(time), value]).chain(attributes).collect()
    })
}

/// The same with something else in it somewhere.
fn nearly_usual() -> impl Strategy<Value = Vec<Piece>> {
    let other = prop_oneof![
        word().prop_map(Piece::Start),
        word().prop_map(Piece::Time),
        word().prop_map(Piece::Double),
        word().prop_map(Piece::Int),
        word().prop_map(Piece::Exemplar),
        word().prop_map(Piece::WideStart),
        (0..4_u64).prop_map(Piece::Flags),
        Just(Piece::NotUtf8),
        Just(Piece::Unknown),
        any::<u8>().prop_map(Piece::Broken),
    ];
    (usual(), any::<prop::sample::Index>(), other).prop_map(|(mut pieces, at, other)| {
        pieces.insert(at.index(pieces.len() + 1), other);
        pieces
    })
}

fn point() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![4 => usual(), 2 => nearly_usual(), 1 => usual().prop_shuffle()];
    pieces.prop_map(|pieces| {
        let mut out = Vec::new();
        pieces.iter().for_each(|piece| piece.put(&mut out));
        out
    })
}

/// A request with these points, of a sum or a gauge.
fn request_of(points: &[Vec<u8>], sum: bool) -> Vec<u8> {
    let mut out = Vec::new();
    wire::put_message(&mut out, 1, |out| {
        wire::put_message(out, 2, |out| {
            wire::put_message(out, 2, |out| {
                wire::put_bytes(out, 1, b"m");
                wire::put_message(out, if sum { 7 } else { 5 }, |out| {
                    points.iter().for_each(|point| wire::put_bytes(out, 1, point));
                });
            })
        })
    });
    out
}

/// What was said of each point, in the order in which they came, exemplars among it.
type Told = Vec<(Arc<Series>, String)>;

fn told(taken: &Taken) -> Told {
    let of_group = |group: &PointGroup| {
        let exemplars: Vec<_> = group.exemplars.clone();
        let table = Arc::clone(&group.table);
        let points = group.points.clone().into_iter().zip(0_u32..).map(move |(point, at)| {
            let bits = match point.value {
                pipeline::Value::Float(value) => value.to_bits(),
                _ => 0,
            };
            let exemplars: Vec<_> =
                exemplars.iter().filter(|exemplar| exemplar.point == at).map(|exemplar| &exemplar.value).collect();
            let numbers = (point.flags, point.time, point.start, bits);
            (Arc::clone(table.get(point.series).unwrap()), format!("{numbers:?} {:?} {exemplars:?}", point.value))
        });
        points.collect::<Told>()
    };
    taken.groups.iter().flat_map(of_group).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    /// A reader that has seen nothing reads each point the long way; one that has seen them all reads most of them the short way.
    #[test]
    fn the_short_way_leads_where_the_long_way_does(points in prop::collection::vec(point(), 1..8), sum in any::<bool>()) {
        let (mut expected, mut rejected, mut failed) = (Told::new(), 0, None);
        for point in &points {
            match MetricsReader::default().read(&request_of(std::slice::from_ref(point), sum), 0) {
                Ok(taken) => {
                    expected.extend(told(&taken));
                    rejected += taken.rejected.points;
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let body = request_of(&points, sum);
        let mut reader = MetricsReader::default();
        for now in 0..3 {
            match (reader.read(&body, now), failed) {
                (Ok(taken), None) => {
                    let told = told(&taken);
                    prop_assert_eq!(taken.rejected.points, rejected);
                    prop_assert_eq!(told.len(), expected.len());
                    for ((series, text), (expected_series, expected_text)) in told.iter().zip(&expected) {
                        prop_assert!(Arc::ptr_eq(series, expected_series));
                        prop_assert_eq!(text, expected_text);
                    }
                }
                (Err(error), Some(failed)) => prop_assert_eq!(error, failed),
                (taken, failed) => prop_assert!(false, "{taken:?} where {failed:?} was expected"),
            }
        }
    }
}

/// A series is known by its attributes: what begins as a usual point and goes on with something else is never taken for it.
#[test]
fn what_follows_the_attributes_of_a_known_series_is_read() {
    let (mut plain, mut flagged) = (Vec::new(), Vec::new());
    let usual = [Piece::Start(1), Piece::Time(2), Piece::Int(3), Piece::Attribute(1, 1)];
    usual.iter().for_each(|piece| piece.put(&mut plain));
    usual.iter().chain([&Piece::Flags(1)]).for_each(|piece| piece.put(&mut flagged));
    let mut reader = MetricsReader::default();
    for _ in 0..2 {
        let taken = reader.read(&request_of(&[plain.clone(), flagged.clone()], true), 0).unwrap();
        let [group] = taken.groups.as_slice() else { panic!("one group") };
        let recorded: Vec<bool> = group.points.iter().map(|point| point.value.is_recorded()).collect();
        assert_eq!((group.table.len(), recorded), (1, vec![true, false]));
    }
}
