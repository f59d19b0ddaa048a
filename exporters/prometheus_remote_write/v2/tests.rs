use super::numbers::Numbers;
use super::pieces::{common_prefix, common_suffix};
use prometheus::remote_write::wire::v2::Symbols;
use proptest::prelude::*;

#[test]
fn a_string_has_one_number_however_it_is_asked_for() {
    let mut interned = Symbols::new();
    let id = interned.reference(b"known");
    let mut numbers = Numbers::default();
    assert_eq!(numbers.of_text(&interned, b"later"), 1);
    assert_eq!(numbers.of(&interned, id), 2);
    assert_eq!(numbers.of_text(&interned, b"known"), 2);
    // It is interned while a request is open in which it has a number already.
    let later = interned.reference(b"later");
    assert_eq!(numbers.of(&interned, later), 1);
    assert_eq!((numbers.of(&interned, 0), numbers.of_text(&interned, b"")), (0, 0));
    numbers.clear();
    assert_eq!(numbers.of(&interned, id), 1);
}

proptest! {
    #[test]
    fn what_is_common_is_found_in_words_as_in_bytes(
        before in prop::collection::vec(0..2u8, 0..40),
        [a, b] in [prop::collection::vec(0..2u8, 0..20), prop::collection::vec(0..2u8, 0..20)],
        behind in prop::collection::vec(0..2u8, 0..40),
    ) {
        let both = [[before.as_slice(), &a, &behind].concat(), [before.as_slice(), &b, &behind].concat()];
        let [first, second] = both.each_ref().map(Vec::as_slice);
        let prefix = first.iter().zip(second).take_while(|(a, b)| a == b).count();
        prop_assert_eq!(common_prefix(first, second), prefix);
        let suffix = first.iter().rev().zip(second.iter().rev()).take_while(|(a, b)| a == b).count();
        prop_assert_eq!(common_suffix(first, second), suffix);
    }
}
