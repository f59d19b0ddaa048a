#![expect(clippy::unwrap_used, reason = "tests")]

use super::settle::{DOUBTFUL, SURE, SUSPICIOUS, Settler, UNFINISHED, Verdict};
use super::{Content, Contents, SharedFiles};
use std::time::Duration;
use tokio::time::Instant;

/// The file as the SSM agent writes it.
fn file(id: &str, secret: &str, token: &str) -> String {
    format!(
        "[default]\naws_access_key_id     = {id}\naws_secret_access_key = {secret}\naws_session_token     = {token}\n"
    )
}

/// Values without a common end.
fn generation(n: u64) -> String {
    let random = |salt: u64| -> String {
        let mut state = (n * 7919 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..40)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                char::from(b'a' + ((state >> 33) % 26) as u8)
            })
            .collect()
    };
    file(&format!("ASIA{}", &random(1)[..16]), &random(2), &random(3).repeat(8))
}

fn credentials(text: impl Into<String>) -> Contents {
    Contents { credentials: Content::Text(text.into()), config: Content::Absent }
}

/// A settler that uses the first generation, and the time.
fn settled() -> (Settler, Instant) {
    let mut settler = Settler::default();
    let now = Instant::now();
    let long_ago = Some(Duration::from_secs(60));
    assert_eq!(settler.observe(credentials(generation(1)), "default", now, long_ago), Verdict::Accepted);
    (settler, now)
}

fn waits(verdict: Verdict) -> Duration {
    match verdict {
        Verdict::Waiting { again, .. } => again,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_that_was_there_before_is_taken_at_once() {
    settled();
}

#[test]
fn a_file_that_appears_has_to_stay_as_it_is() {
    let mut settler = Settler::default();
    let now = Instant::now();
    assert_eq!(settler.observe(Contents::default(), "default", now, Some(Duration::MAX)), Verdict::Accepted);
    let young = Some(Duration::ZERO);
    assert_eq!(waits(settler.observe(credentials(generation(1)), "default", now, young)), DOUBTFUL);
    assert_eq!(settler.observe(credentials(generation(1)), "default", now + DOUBTFUL, young), Verdict::Accepted);
}

#[test]
fn a_whole_new_generation_is_taken_soon() {
    let (mut settler, now) = settled();
    assert_eq!(waits(settler.observe(credentials(generation(2)), "default", now, None)), SURE);
    assert_eq!(settler.observe(credentials(generation(2)), "default", now + SURE, None), Verdict::Accepted);
}

#[test]
fn no_beginning_of_a_file_is_taken_within_the_time_a_writer_may_pause() {
    let new = generation(2);
    for end in 0..new.len() {
        let (mut settler, now) = settled();
        let half = credentials(&new[..end]);
        settler.observe(half.clone(), "default", now, None);
        let pause = Duration::from_millis(1100);
        let verdict = settler.observe(half, "default", now + pause, None);
        assert!(matches!(verdict, Verdict::Waiting { .. }), "{end}: {:?}", &new[..end]);
        // The other half comes.
        settler.observe(credentials(new.as_str()), "default", now + pause, None);
        assert_eq!(settler.observe(credentials(new.as_str()), "default", now + pause + SURE, None), Verdict::Accepted);
    }
}

#[test]
fn no_mix_of_two_generations_is_taken_within_the_time_a_writer_may_pause() {
    let (old, new) = (generation(1), generation(2));
    for end in 1..new.len() {
        let mixed = format!("{}{}", &new[..end], &old[end..]);
        if mixed == old || mixed == new {
            continue;
        }
        let (mut settler, now) = settled();
        settler.observe(credentials(mixed.as_str()), "default", now, None);
        let verdict = settler.observe(credentials(mixed), "default", now + Duration::from_millis(1100), None);
        // The last characters may be those of both, with nothing to tell.
        if end + 8 < new.len() {
            assert!(matches!(verdict, Verdict::Waiting { .. }), "{end}");
        }
    }
}

#[test]
fn what_goes_missing_is_missed_for_long() {
    for broken in [
        String::new(),
        "[other]\naws_access_key_id = a\naws_secret_access_key = b\n".to_owned(),
        "[default]\naws_access_key_id = AKIAB\naws_secret_access_key = b\n".to_owned(),
    ] {
        let (mut settler, now) = settled();
        assert_eq!(waits(settler.observe(credentials(broken.as_str()), "default", now, None)), SUSPICIOUS);
        // The old generation comes back: nothing has happened.
        assert_eq!(settler.observe(credentials(generation(1)), "default", now, None), Verdict::Same);
        settler.observe(credentials(broken.as_str()), "default", now, None);
        assert_eq!(settler.observe(credentials(broken), "default", now + SUSPICIOUS, None), Verdict::Accepted);
    }
    let (mut settler, now) = settled();
    assert_eq!(waits(settler.observe(Contents::default(), "default", now, None)), SUSPICIOUS);
}

#[test]
fn refused_credentials_make_way_sooner_and_only_for_complete_ones() {
    let (mut settler, now) = settled();
    let odd = credentials("[default]\naws_access_key_id = AKIAB\naws_secret_access_key = b\n");
    settler.refused();
    assert_eq!(waits(settler.observe(odd.clone(), "default", now, None)), UNFINISHED);
    assert_eq!(settler.observe(odd, "default", now + UNFINISHED, None), Verdict::Accepted);
    let (mut settler, now) = settled();
    settler.refused();
    let new = generation(2);
    for end in 0..new.len() {
        let half = credentials(&new[..end]);
        settler.observe(half.clone(), "default", now, None);
        let verdict = settler.observe(half, "default", now + Duration::from_secs(3), None);
        assert!(matches!(verdict, Verdict::Waiting { .. }), "{end}: {:?}", &new[..end]);
    }
}

#[test]
fn what_may_be_cut_in_two_waits_longer_than_any_writer_pauses() {
    let (mut settler, now) = settled();
    let new = generation(2);
    let half = credentials(&new[..new.len() - 20]);
    assert_eq!(waits(settler.observe(half, "default", now, None)), UNFINISHED);
    // Also at the start.
    let mut settler = Settler::default();
    let young = Some(Duration::ZERO);
    assert_eq!(waits(settler.observe(credentials(new.trim_end()), "default", now, young)), UNFINISHED);
    assert_eq!(settler.observe(credentials(new.trim_end()), "default", now + UNFINISHED, young), Verdict::Accepted);
}

#[test]
fn profiles_that_keys_come_from_count_like_the_profile_itself() {
    let config = "[profile amp]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = middle\n[profile middle]\nrole_arn = arn:aws:iam::1:role/m\nsource_profile = default\n";
    let with =
        |text: &str| Contents { credentials: Content::Text(text.to_owned()), config: Content::Text(config.to_owned()) };
    let start = || {
        let (mut settler, now) = (Settler::default(), Instant::now());
        let long_ago = Some(Duration::from_secs(60));
        assert_eq!(settler.observe(with(&generation(1)), "amp", now, long_ago), Verdict::Accepted);
        (settler, now)
    };
    let (mut settler, now) = start();
    assert_eq!(waits(settler.observe(with(&generation(2)), "amp", now, None)), SURE);
    let (old, new) = (generation(1), generation(2));
    let secret = new.find("aws_secret").unwrap();
    for broken in [
        String::new(),
        new[..secret].to_owned(),
        format!("{}{}", &new[..secret], &old[secret..]),
        "[other]\naws_access_key_id = AKIAB\naws_secret_access_key = b\n".to_owned(),
    ] {
        let (mut settler, now) = start();
        assert_eq!(waits(settler.observe(with(&broken), "amp", now, None)), SUSPICIOUS, "{broken}");
    }
    // A circle is found by whoever signs with it.
    let circle = "[profile amp]\nsource_profile = amp\n";
    let contents = Contents { credentials: Content::Absent, config: Content::Text(circle.to_owned()) };
    assert_eq!(super::ini::chain(&contents, "amp"), ["amp"]);
}

#[test]
fn values_are_those_of_the_profile() {
    let contents = Contents {
        credentials: Content::Text("[a]\nx=1\n[b]\n x = 2 \n".to_owned()),
        config: Content::Text("# c\n[profile b]\nregion=eu-west-1\nx=3\n[default]\nregion=us-east-1\n".to_owned()),
    };
    let value = |profile, key| super::ini::value(&contents, profile, key);
    assert_eq!(value("b", "x"), Some("2"));
    assert_eq!(value("b", "region"), Some("eu-west-1"));
    assert_eq!(value("default", "region"), Some("us-east-1"));
    assert_eq!(value("a", "region"), None);
}

#[tokio::test]
async fn files_are_read_as_they_change() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("credentials");
    let files = SharedFiles::new(path.clone(), directory.path().join("config"), "default".to_owned());
    let first = files.settled().await.unwrap();
    assert_eq!((first.number, first.contents.credentials.clone()), (1, Content::Absent));
    std::fs::write(&path, generation(1)).unwrap();
    while files.number() == 1 {
        tokio::time::sleep(files.look()).await;
    }
    assert_eq!(files.value("aws_access_key_id").unwrap().len(), 20);
    std::fs::remove_file(&path).unwrap();
    files.look();
    assert_eq!(files.number(), 2, "a file that is gone for a moment changes nothing");
}

#[test]
fn a_value_is_known_although_nobody_has_looked_yet() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config");
    std::fs::write(&config, "[default]\nregion = eu-west-1\n").unwrap();
    let past = std::time::SystemTime::now() - Duration::from_secs(60);
    std::fs::File::options().write(true).open(&config).unwrap().set_modified(past).unwrap();
    let files = SharedFiles::new(directory.path().join("credentials"), config, "default".to_owned());
    assert_eq!(files.value("region").as_deref(), Some("eu-west-1"));
}
