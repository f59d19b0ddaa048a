//! A reader of remote write of its own, which keeps what the program's own reader would not let pass.

/// A request.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// Version 2.0: the strings that everything refers to.
    pub(super) symbols: Vec<String>,
    pub(super) series: Vec<Series>,
    /// Version 1.0: names of families that are described.
    pub(super) families: Vec<String>,
}

/// A time series.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub(super) references: Vec<u64>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) samples: Vec<Sample>,
    pub(super) histograms: usize,
    /// What is in them (version 2.0).
    pub(super) natives: Vec<Native>,
    pub(super) exemplars: Vec<Exemplar>,
    pub(super) metadata: Option<Metadata>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    pub(super) value: f64,
    pub(super) time: i64,
    pub(super) start: i64,
}

#[derive(Debug, Default)]
pub(super) struct Exemplar {
    pub(super) references: Vec<u64>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) value: Option<f64>,
    pub(super) time: i64,
}

/// A native histogram of whole numbers.
#[derive(Debug, Default)]
pub(super) struct Native {
    pub(super) count: Option<u64>,
    pub(super) sum: f64,
    pub(super) schema: i64,
    pub(super) zero_threshold: f64,
    pub(super) zero_count: Option<u64>,
    pub(super) negative: Buckets,
    pub(super) positive: Buckets,
    pub(super) time: i64,
    pub(super) start: i64,
}

/// One side of it.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    /// How far behind the last one each begins, and how long it is.
    pub(super) spans: Vec<(i64, u64)>,
    deltas: Vec<i64>,
}

impl Buckets {
    /// The number of each bucket, and its count.
    pub(super) fn counts(&self) -> Vec<(i64, i64)> {
        let (mut all, mut at, mut count) = (Vec::new(), 0, 0);
        let mut deltas = self.deltas.iter();
        for (offset, length) in &self.spans {
            at += offset;
            for _ in 0..*length {
                count += deltas.next().expect("a bucket of a span has a delta");
                all.push((at, count));
                at += 1;
            }
        }
        assert_eq!(deltas.next(), None, "a delta has its place in a span");
        all
    }

    fn span(&mut self, bytes: &[u8]) {
        let mut span = (0, 0);
        for (number, value) in fields(bytes) {
            match number {
                1 => span.0 = signed(value.number()),
                2 => span.1 = value.number(),
                other => panic!("a span has no field {other}"),
            }
        }
        self.spans.push(span);
    }

    fn add(&mut self, bytes: &[u8]) {
        self.deltas.extend(references(bytes).into_iter().map(signed));
    }
}

#[derive(Debug, Default)]
pub(super) struct Metadata {
    pub(super) kind: u64,
    pub(super) help_reference: u64,
    pub(super) unit_reference: u64,
    pub(super) help: String,
    pub(super) unit: String,
}

impl Series {
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A field's content.
#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Number(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            other => panic!("{other:?} has no bytes"),
        }
    }

    fn text(self) -> String {
        String::from_utf8(self.bytes().to_vec()).expect("strings are UTF-8")
    }

    fn double(self) -> f64 {
        match self {
            Self::Fixed(bits) => f64::from_bits(bits),
            other => panic!("{other:?} is no double"),
        }
    }

    fn number(self) -> u64 {
        match self {
            Self::Number(number) => number,
            other => panic!("{other:?} is no number"),
        }
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().expect("a varint ends");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return value;
        }
    }
    panic!("a varint is too long");
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut bytes)),
            1 => {
                let (eight, rest) = bytes.split_at(8);
                bytes = rest;
                Value::Fixed(u64::from_le_bytes(eight.try_into().unwrap()))
            }
            2 => {
                let len = varint(&mut bytes) as usize;
                let (content, rest) = bytes.split_at(len);
                bytes = rest;
                Value::Bytes(content)
            }
            other => panic!("wire type {other}"),
        };
        all.push((tag >> 3, value));
    }
    all
}

fn sample(bytes: &[u8]) -> Sample {
    let mut sample = Sample::default();
    for (number, value) in fields(bytes) {
        match number {
            1 => sample.value = value.double(),
            2 => sample.time = value.number().cast_signed(),
            3 => sample.start = value.number().cast_signed(),
            other => panic!("a sample has no field {other}"),
        }
    }
    sample
}

/// A number that is written with its sign at the end.
fn signed(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

fn native(bytes: &[u8]) -> Native {
    let mut native = Native::default();
    for (number, value) in fields(bytes) {
        match number {
            1 => native.count = Some(value.number()),
            3 => native.sum = value.double(),
            4 => native.schema = signed(value.number()),
            5 => native.zero_threshold = value.double(),
            6 => native.zero_count = Some(value.number()),
            8 => native.negative.span(value.bytes()),
            9 => native.negative.add(value.bytes()),
            11 => native.positive.span(value.bytes()),
            12 => native.positive.add(value.bytes()),
            14 => {}
            15 => native.time = value.number().cast_signed(),
            17 => native.start = value.number().cast_signed(),
            other => panic!("a histogram of whole numbers has no field {other}"),
        }
    }
    native
}

fn references(bytes: &[u8]) -> Vec<u64> {
    let mut rest = bytes;
    let mut all = Vec::new();
    while !rest.is_empty() {
        all.push(varint(&mut rest));
    }
    all
}

/// A request of version 2.0.
pub(super) fn read_v2(raw: &[u8]) -> Message {
    let all = fields(raw);
    let symbols: Vec<String> = all.iter().filter(|(number, _)| *number == 4).map(|(_, value)| value.text()).collect();
    let symbol = |reference: u64| symbols.get(reference as usize).cloned().unwrap_or_else(|| format!("<{reference}>"));
    let labels = |references: &[u64]| -> Vec<(String, String)> {
        references
            .chunks(2)
            .map(|pair| (symbol(pair[0]), pair.get(1).map(|value| symbol(*value)).unwrap_or_default()))
            .collect()
    };
    let mut message = Message::default();
    for (number, value) in &all {
        match number {
            4 => continue,
            5 => {}
            other => panic!("a request has no field {other}"),
        }
        let mut series = Series::default();
        for (number, value) in fields(value.bytes()) {
            match number {
                1 => series.references.extend(references(value.bytes())),
                2 => series.samples.push(sample(value.bytes())),
                3 => {
                    series.histograms += 1;
                    series.natives.push(native(value.bytes()));
                }
                4 => {
                    let mut exemplar = Exemplar::default();
                    for (number, value) in fields(value.bytes()) {
                        match number {
                            1 => exemplar.references.extend(references(value.bytes())),
                            2 => exemplar.value = Some(value.double()),
                            3 => exemplar.time = value.number().cast_signed(),
                            other => panic!("an exemplar has no field {other}"),
                        }
                    }
                    exemplar.labels = labels(&exemplar.references);
                    series.exemplars.push(exemplar);
                }
                5 => {
                    let mut metadata = Metadata::default();
                    for (number, value) in fields(value.bytes()) {
                        match number {
                            1 => metadata.kind = value.number(),
                            3 => metadata.help_reference = value.number(),
                            4 => metadata.unit_reference = value.number(),
                            other => panic!("metadata has no field {other}"),
                        }
                    }
                    metadata.help = symbol(metadata.help_reference);
                    metadata.unit = symbol(metadata.unit_reference);
                    series.metadata = Some(metadata);
                }
                other => panic!("a series has no field {other}"),
            }
        }
        series.labels = labels(&series.references);
        message.series.push(series);
    }
    message.symbols = symbols;
    message
}

/// A request of version 1.0.
pub(super) fn read_v1(raw: &[u8]) -> Message {
    let mut message = Message::default();
    let label = |bytes: &[u8]| -> (String, String) {
        let mut pair = (String::new(), String::new());
        for (number, value) in fields(bytes) {
            match number {
                1 => pair.0 = value.text(),
                2 => pair.1 = value.text(),
                other => panic!("a label has no field {other}"),
            }
        }
        pair
    };
    for (number, value) in fields(raw) {
        match number {
            1 => {
                let mut series = Series::default();
                for (number, value) in fields(value.bytes()) {
                    match number {
                        1 => series.labels.push(label(value.bytes())),
                        2 => series.samples.push(sample(value.bytes())),
                        3 => series.exemplars.push(Exemplar::default()),
                        4 => series.histograms += 1,
                        other => panic!("a series has no field {other}"),
                    }
                }
                message.series.push(series);
            }
            3 => {
                let name = fields(value.bytes()).into_iter().find(|(number, _)| *number == 2);
                message.families.extend(name.map(|(_, value)| value.text()));
            }
            other => panic!("a request has no field {other}"),
        }
    }
    message
}
