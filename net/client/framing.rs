//! Where a response's body ends (RFC 9112 section 6), decoded inside the buffer it was read into.

use super::error::Failure;

/// The longest line of a chunk's size with its extensions. Nobody uses extensions; a server that sends long ones makes us
/// read without a body growing.
const MAX_CHUNK_LINE: usize = 4 << 10;
/// The most that trailers may take.
const MAX_TRAILER: usize = 16 << 10;

/// How much of the body is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked(Chunk),
    UntilClose,
}

/// The place in a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// In the hexadecimal size; `digits` says how many there were.
    Size { value: u64, digits: u8 },
    /// In what follows the size up to the end of the line.
    Extension { value: u64, len: usize },
    /// In the data.
    Data(u64),
    /// Behind the data, before the line feed.
    DataEnd,
    /// In the trailers; `line` counts the bytes of the current line.
    Trailer { line: usize, total: usize },
}

/// Turns what is read into what was meant, in place: `buffer[..decoded]` is body, what follows is undecoded.
#[derive(Debug)]
pub(crate) struct BodyDecoder {
    framing: Framing,
    decoded: usize,
    done: bool,
    /// The server sent more than the body: the connection cannot be used again.
    surplus: bool,
}

impl BodyDecoder {
    /// A decoder for a buffer whose first `decoded` bytes are the caller's.
    pub(crate) fn new(framing: Framing, decoded: usize) -> Self {
        Self { framing, decoded, done: framing == Framing::Length(0), surplus: false }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the connection can carry another request after this body.
    pub(crate) fn leaves_connection_usable(&self) -> bool {
        self.done && !self.surplus && self.framing != Framing::UntilClose
    }

    /// The number of bytes that the server still announces, if it has said so.
    pub(crate) fn announced(&self) -> Option<u64> {
        match self.framing {
            Framing::Length(rest) | Framing::Chunked(Chunk::Data(rest)) => Some(rest),
            Framing::Chunked(_) | Framing::UntilClose => None,
        }
    }

    /// Whether no byte beyond [`BodyDecoder::announced`] belongs to this response.
    pub(crate) fn ends_with_announced(&self) -> bool {
        matches!(self.framing, Framing::Length(_))
    }

    /// The caller took the decoded bytes out of the buffer, which is empty now.
    pub(crate) fn taken(&mut self) {
        self.decoded = 0;
    }

    /// Decodes everything in `buffer` behind the part that is decoded already, and cuts off what is no body.
    pub(crate) fn decode(&mut self, buffer: &mut Vec<u8>) -> Result<(), Failure> {
        let mut at = self.decoded;
        match self.framing {
            Framing::UntilClose => self.decoded = buffer.len(),
            Framing::Length(rest) => {
                let fresh = (buffer.len() - at) as u64;
                self.surplus = fresh > rest;
                let body = fresh.min(rest);
                self.framing = Framing::Length(rest - body);
                self.done = rest == body;
                self.decoded += usize::try_from(body).unwrap_or(usize::MAX);
            }
            Framing::Chunked(mut state) => {
                while at < buffer.len() && !self.done {
                    state = self.step(state, buffer, &mut at)?;
                }
                self.framing = Framing::Chunked(state);
                self.surplus = at < buffer.len();
            }
        }
        buffer.truncate(self.decoded);
        Ok(())
    }

    /// The connection has ended.
    pub(crate) fn end(&mut self) -> Result<(), Failure> {
        if self.framing == Framing::UntilClose {
            self.done = true;
        }
        if self.done { Ok(()) } else { Err(Failure::eof()) }
    }

    fn step(&mut self, state: Chunk, buffer: &mut [u8], at: &mut usize) -> Result<Chunk, Failure> {
        if let Chunk::Data(rest) = state {
            let here = buffer.len() - *at;
            let len = usize::try_from(rest).unwrap_or(usize::MAX).min(here);
            buffer.copy_within(*at..*at + len, self.decoded);
            self.decoded += len;
            *at += len;
            return Ok(match rest - len as u64 {
                0 => Chunk::DataEnd,
                rest => Chunk::Data(rest),
            });
        }
        let byte = buffer.get(*at).copied().unwrap_or_default();
        *at += 1;
        match state {
            Chunk::Size { value, digits } => match (char::from(byte).to_digit(16), byte) {
                (Some(_), _) if digits == 15 => Err(Failure::protocol("http chunk length too large")),
                (Some(digit), _) => Ok(Chunk::Size { value: value * 16 + u64::from(digit), digits: digits + 1 }),
                (None, b'\r' | b';' | b' ' | b'\t') if digits > 0 => Ok(Chunk::Extension { value, len: 1 }),
                (None, b'\n') if digits > 0 => Ok(after_size(value)),
                _ => Err(Failure::protocol("invalid byte in chunk length")),
            },
            Chunk::Extension { len, .. } if len > MAX_CHUNK_LINE => {
                Err(Failure::protocol("header line too long in chunked body"))
            }
            Chunk::Extension { value, .. } if byte == b'\n' => Ok(after_size(value)),
            Chunk::Extension { value, len } => Ok(Chunk::Extension { value, len: len + 1 }),
            Chunk::DataEnd if byte == b'\r' => Ok(Chunk::DataEnd),
            Chunk::DataEnd if byte == b'\n' => Ok(Chunk::Size { value: 0, digits: 0 }),
            Chunk::DataEnd => Err(Failure::protocol("malformed chunked encoding")),
            Chunk::Trailer { total, .. } if total > MAX_TRAILER => {
                Err(Failure::protocol("trailers of a chunked body are too long"))
            }
            Chunk::Trailer { line: 0, total } if byte == b'\n' => {
                self.done = true;
                Ok(Chunk::Trailer { line: 0, total })
            }
            Chunk::Trailer { line, total } => Ok(Chunk::Trailer {
                line: match byte {
                    b'\n' => 0,
                    b'\r' => line,
                    _ => line + 1,
                },
                total: total + 1,
            }),
            Chunk::Data(_) => Ok(state),
        }
    }
}

fn after_size(value: u64) -> Chunk {
    match value {
        0 => Chunk::Trailer { line: 0, total: 0 },
        value => Chunk::Data(value),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    /// Feeds `wire` in pieces of `piece` bytes.
    fn feed(framing: Framing, wire: &[u8], piece: usize) -> Result<(Vec<u8>, BodyDecoder), Failure> {
        let mut decoder = BodyDecoder::new(framing, 0);
        let mut buffer = Vec::new();
        for part in wire.chunks(piece.max(1)) {
            buffer.extend_from_slice(part);
            decoder.decode(&mut buffer)?;
        }
        Ok((buffer, decoder))
    }

    const START: Framing = Framing::Chunked(Chunk::Size { value: 0, digits: 0 });

    #[test]
    fn chunks_are_joined_however_they_arrive() {
        let wire = b"4\r\nup 1\r\n1;ext=\"x\"\r\n\n\r\n00a \r\n0123456789\r\n0\r\nExpires: never\r\n\r\n";
        for piece in 1..wire.len() {
            let (body, decoder) = feed(START, wire, piece).unwrap();
            assert_eq!(body, b"up 1\n0123456789", "pieces of {piece}");
            assert!(decoder.is_done() && decoder.leaves_connection_usable());
        }
    }

    #[test]
    fn what_follows_the_body_spoils_the_connection() {
        let (_, decoder) = feed(START, b"0\r\n\r\nHTTP/1.1", 99).unwrap();
        assert!(decoder.is_done() && !decoder.leaves_connection_usable());
        let (body, decoder) = feed(Framing::Length(2), b"abc", 99).unwrap();
        assert_eq!(body, b"ab");
        assert!(decoder.is_done() && !decoder.leaves_connection_usable());
    }

    #[test]
    fn an_early_end_is_an_error_unless_the_end_is_the_mark() {
        for (framing, wire) in
            [(START, &b"4\r\nup 1"[..]), (START, b"4\r\nup 1\r\n0\r\n"), (Framing::Length(5), b"up 1")]
        {
            let (_, mut decoder) = feed(framing, wire, 99).unwrap();
            assert!(decoder.end().is_err());
        }
        let (body, mut decoder) = feed(Framing::UntilClose, b"up 1", 99).unwrap();
        assert_eq!(body, b"up 1");
        assert!(decoder.end().is_ok() && !decoder.leaves_connection_usable());
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for wire in [&b"\r\n"[..], b"x\r\n", b"-1\r\n", b"1\r\nab\r\n", b"1000000000000000\r\n", b";\n"] {
            assert!(feed(START, wire, 99).is_err(), "{}", wire.escape_ascii());
        }
        let endless = [b"1;".to_vec(), vec![b'x'; 10_000]].concat();
        assert!(feed(START, &endless, 99).is_err());
        let endless = [b"0\r\n".to_vec(), b"a: b\r\n".repeat(10_000)].concat();
        assert!(feed(START, &endless, 99).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic_and_never_grow(wire in proptest::collection::vec(any::<u8>(), 0..300), piece in 1usize..50) {
            if let Ok((body, _)) = feed(START, &wire, piece) {
                prop_assert!(body.len() <= wire.len());
            }
        }

        #[test]
        fn what_was_chunked_comes_back(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..200), 0..6),
            piece in 1usize..300,
        ) {
            let mut wire = Vec::new();
            for part in &parts {
                wire.extend_from_slice(format!("{:X}\r\n", part.len()).as_bytes());
                wire.extend_from_slice(part);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            let (body, decoder) = feed(START, &wire, piece).unwrap();
            prop_assert!(decoder.leaves_connection_usable());
            prop_assert_eq!(body, parts.concat());
        }
    }
}
