//! Traces and logs put together and cut: their bytes are moved, and decoded only where a request has to be cut.

use pipeline::{AckOutcome, Acks, MessageBatch};

/// Puts all batches together and cuts them into pieces of `max` items; the last may be smaller. Whoever waits for a
/// batch waits for those pieces only that hold some of its items.
pub(super) fn cut(batches: Vec<MessageBatch>, max: usize) -> Vec<MessageBatch> {
    let mut done = Vec::new();
    let mut piece: Option<Piece> = None;
    for MessageBatch { signal, body, items, acks } in batches {
        let room = max - piece.as_ref().map_or(0, |piece| piece.batch.items);
        for (body, items) in otlp::request::split(&body, items, room, max) {
            if let Some(full) = piece.take_if(|piece| piece.batch.items + items > max) {
                done.push(full.finish());
            }
            match &mut piece {
                Some(piece) => piece.append(&body, items, acks.clone()),
                None => {
                    let batch = MessageBatch { signal, body, items, acks: acks.clone() };
                    piece = Some(Piece { batch, joined: Vec::new() });
                }
            }
        }
        // The pieces' shares say what became of the items; this one has none left.
        acks.resolve(AckOutcome::Delivered);
    }
    done.extend(piece.map(Piece::finish));
    done
}

/// A batch in the making.
struct Piece {
    batch: MessageBatch,
    /// Its body, once there is more than one.
    joined: Vec<u8>,
}

impl Piece {
    fn append(&mut self, body: &[u8], items: usize, acks: Acks) {
        if self.joined.is_empty() {
            self.joined.extend_from_slice(&self.batch.body);
        }
        // Requests one after the other are one request.
        self.joined.extend_from_slice(body);
        self.batch.items += items;
        self.batch.acks.merge(acks);
    }

    fn finish(self) -> MessageBatch {
        match self.joined.is_empty() {
            true => self.batch,
            false => MessageBatch { body: self.joined.into(), ..self.batch },
        }
    }
}
