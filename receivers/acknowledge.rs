//! When a sender is told that what it sent was taken.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// When a sender is told that its request was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledge {
    /// When every pipeline has taken it into its first queue, as the Collector does.
    #[default]
    Accepted,
    /// When every destination has them, or they are in a log on disk. What memory holds at a crash is then
    /// still at the sender; a sender waits longer for its answers and may need more shards.
    Durable,
}

impl<'de> Deserialize<'de> for Acknowledge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl de::Visitor<'_> for NameVisitor {
            type Value = Acknowledge;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("accepted or durable")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Acknowledge, E> {
                match text {
                    "accepted" => Ok(Acknowledge::Accepted),
                    "durable" => Ok(Acknowledge::Durable),
                    other => Err(E::custom(format!("{other:?} is not known: use accepted or durable"))),
                }
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}
