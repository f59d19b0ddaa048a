//! Keys, intervals, and what servers ask for.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

const DEFAULT: Duration = Duration::from_secs(300);

fn read(json: &str) -> (Retry, Vec<String>) {
    let keys: RetryKeys = serde_json::from_str(json).unwrap();
    let mut refused = Vec::new();
    let retry = keys.read(DEFAULT, |key, message| refused.push(format!("{key}: {message}")));
    (retry, refused)
}

#[test]
fn the_collector_s_defaults() {
    let (retry, refused) = read("{}");
    assert!(refused.is_empty(), "{refused:?}");
    let expected = Retry {
        enabled: true,
        initial: Duration::from_secs(5),
        max: Duration::from_secs(30),
        multiplier: 1.5,
        randomization: 0.5,
        max_elapsed: DEFAULT,
        max_refused: Duration::ZERO,
    };
    assert_eq!(retry, expected);
    let (for_ever, _) = read(r#"{"max_elapsed_time":"0s"}"#);
    assert_eq!((for_ever.max_elapsed, for_ever.max_refused), (Duration::ZERO, Duration::ZERO));
    let (minute, _) = read(r#"{"max_elapsed_time":"1m"}"#);
    assert_eq!((minute.max_elapsed, minute.max_refused), (Duration::from_secs(60), Duration::from_secs(60)));
}

#[test]
fn the_collector_s_refusals() {
    for (json, message) in [
        (r#"{"initial_interval":"-1s"}"#, "'initial_interval' must be non-negative"),
        (r#"{"max_interval":"-1s"}"#, "'max_interval' must be non-negative"),
        (r#"{"max_elapsed_time":"-1s"}"#, "'max_elapsed_time' must be non-negative"),
        (r#"{"randomization_factor":-1}"#, "'randomization_factor' must be within [0, 1]"),
        (r#"{"randomization_factor":2}"#, "'randomization_factor' must be within [0, 1]"),
        (r#"{"multiplier":-1}"#, "'multiplier' must be non-negative"),
        (r#"{"max_elapsed_time":"1s"}"#, "'max_elapsed_time' must not be less than 'initial_interval'"),
        (r#"{"max_interval":"2m","max_elapsed_time":"1m"}"#, "'max_elapsed_time' must not be less than 'max_interval'"),
    ] {
        let (_, refused) = read(json);
        assert!(refused.iter().any(|refused| refused.contains(message)), "{json}: {refused:?}");
    }
    assert!(serde_json::from_str::<RetryKeys>(r#"{"max_interwal":"1s"}"#).is_err());
}

#[test]
fn intervals_grow_and_spread() {
    let (retry, _) = read(r#"{"initial_interval":"1s","max_interval":"3s","multiplier":2,"randomization_factor":0.5}"#);
    let intervals = |unit| {
        let mut backoff = Backoff::new(&retry);
        [(); 4].map(|()| backoff.next(unit).as_secs_f64())
    };
    assert_eq!(intervals(0.5), [1.0, 2.0, 3.0, 3.0]);
    assert_eq!(intervals(0.0), [0.5, 1.0, 1.5, 1.5]);
    assert!(intervals(0.999).into_iter().zip([1.5, 3.0, 4.5, 4.5]).all(|(is, most)| is < most && is > most * 0.9));
    assert!((0..1000).all(|_| (0.0..1.0).contains(&random_unit())));
}

#[test]
fn servers_ask_in_two_forms() {
    let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
    for (value, delay) in [
        ("7", Some(7)),
        (" 30 ", Some(30)),
        ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
        ("Sunday, 06-Nov-94 08:49:38 GMT", Some(1)),
        ("Sun, 06 Nov 1994 08:49:30 GMT", None),
        ("0", None),
        ("-3", None),
        ("soon", None),
        ("86400", Some(600)),
    ] {
        assert_eq!(retry_after(value, now), delay.map(Duration::from_secs), "{value:?}");
    }
}
