use super::numbers::Numbers;
use prometheus::remote_write::wire::v2::Symbols;

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
