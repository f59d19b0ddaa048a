//! Plans between graphs.

use super::*;
use std::collections::BTreeSet;

const BASE: &str = "
receivers: {feed: {}, live: {}, feed/b: {}}
processors: {tap/1: {}, tap/2: {}}
exporters: {sink: {}, sink/b: {}}
extensions: {note: {}}
service:
  extensions: [note]
  pipelines:
    metrics: {receivers: [feed, live], processors: [tap/1, tap/2], exporters: [sink]}
    metrics/b: {receivers: [feed/b], exporters: [sink, sink/b]}
";

fn steps(old: &str, new: &str) -> Vec<String> {
    let show = |slot: &Slot| match slot {
        Slot::Processor(pipeline, id) => format!("{pipeline}:{id}"),
        slot => slot.id().map(ToString::to_string).unwrap_or_default(),
    };
    let line = |step: Step| match step {
        Step::Start(slot) => format!("start {}", show(&slot)),
        Step::Replace(slot) => format!("replace {}", show(&slot)),
        Step::Update(slot) => format!("update {}", show(&slot)),
        Step::Stop(slot) => format!("stop {}", show(&slot)),
        Step::Wire { from, to } => {
            format!("{} -> {}", show(&from), to.iter().map(|edge| show(&edge.to)).collect::<Vec<_>>().join(" "))
        }
    };
    let old = if old.is_empty() { Graph::default() } else { graph(old) };
    plan(&old, &graph(new), &BTreeSet::new()).into_iter().map(line).collect()
}

/// What takes updates is handed its configuration each time; that is left out here.
fn steps_beside_updates(old: &str, new: &str) -> Vec<String> {
    let mut steps = steps(old, new);
    steps.retain(|step| step != "update live");
    steps
}

#[test]
fn a_start_goes_from_extensions_to_receivers() {
    assert_eq!(
        steps("", BASE),
        [
            "start note",
            "start sink",
            "start sink/b",
            "start metrics:tap/1",
            "start metrics:tap/2",
            "start feed",
            "start feed/b",
            "start live",
            "metrics:tap/1 -> metrics:tap/2",
            "metrics:tap/2 -> sink",
            "feed -> metrics:tap/1",
            "feed/b -> sink sink/b",
            "live -> metrics:tap/1",
        ]
    );
}

#[test]
fn an_end_goes_the_other_way() {
    let stops: Vec<String> =
        plan(&graph(BASE), &Graph::default(), &BTreeSet::new()).iter().map(|step| format!("{step:?}")).collect();
    let kinds: Vec<&str> = stops.iter().map(|stop| stop.split('(').nth(1).unwrap()).collect();
    assert_eq!(
        kinds,
        ["Receiver", "Receiver", "Receiver", "Processor", "Processor", "Exporter", "Exporter", "Extension"]
    );
}

#[test]
fn equal_configurations_change_nothing_wherever_they_are_written() {
    let moved = BASE.replace("feed: {}, live: {}", "live: {},\n  feed: {}");
    assert_eq!(steps_beside_updates(BASE, &moved), Vec::<String>::new());
}

#[test]
fn a_changed_exporter_is_replaced_and_its_senders_rewired() {
    assert_eq!(
        steps_beside_updates(BASE, &BASE.replace("sink: {}", "sink: {word: x}")),
        ["replace sink", "metrics:tap/2 -> sink", "feed/b -> sink sink/b"]
    );
}

#[test]
fn a_changed_processor_renews_the_gates_of_the_receivers_before_it() {
    assert_eq!(
        steps_beside_updates(BASE, &BASE.replace("tap/2: {}", "tap/2: {mode: gate}")),
        [
            "replace metrics:tap/2",
            "metrics:tap/1 -> metrics:tap/2",
            "metrics:tap/2 -> sink",
            "feed -> metrics:tap/1",
            "live -> metrics:tap/1",
        ]
    );
}

#[test]
fn a_receiver_that_takes_updates_is_updated() {
    assert_eq!(steps(BASE, &BASE.replace("live: {}", "live: {word: x}")), ["update live"]);
    assert_eq!(steps(BASE, BASE), ["update live"], "the files that it names may be others");
    assert_eq!(
        steps_beside_updates(BASE, &BASE.replace("feed: {}", "feed: {word: x}")),
        ["replace feed", "feed -> metrics:tap/1"]
    );
}

#[test]
fn processors_come_and_go() {
    let without = BASE.replace("[tap/1, tap/2]", "[tap/2]");
    assert_eq!(
        steps_beside_updates(BASE, &without),
        ["feed -> metrics:tap/2", "live -> metrics:tap/2", "stop metrics:tap/1"]
    );
    assert_eq!(
        steps_beside_updates(&without, BASE),
        ["start metrics:tap/1", "metrics:tap/1 -> metrics:tap/2", "feed -> metrics:tap/1", "live -> metrics:tap/1",]
    );
}

#[test]
fn processors_in_another_order_are_all_replaced() {
    assert_eq!(
        steps_beside_updates(BASE, &BASE.replace("[tap/1, tap/2]", "[tap/2, tap/1]")),
        [
            "replace metrics:tap/1",
            "replace metrics:tap/2",
            "metrics:tap/1 -> sink",
            "metrics:tap/2 -> metrics:tap/1",
            "feed -> metrics:tap/2",
            "live -> metrics:tap/2",
        ]
    );
}

#[test]
fn a_receiver_that_joins_a_pipeline_keeps_running() {
    let joined = BASE.replace("receivers: [feed/b]", "receivers: [feed/b, feed]");
    assert_eq!(steps_beside_updates(BASE, &joined), ["feed -> metrics:tap/1 sink sink/b"]);
    assert_eq!(steps_beside_updates(&joined, BASE), ["feed -> metrics:tap/1"]);
}

#[test]
fn what_holds_a_changed_extension_is_replaced_with_it() {
    let holding = BASE.replace("sink/b: {}", "sink/b: {auth: {authenticator: note}}");
    assert_eq!(
        steps_beside_updates(&holding, &holding.replace("note: {}", "note: {word: x}")),
        ["replace note", "replace sink/b", "feed/b -> sink sink/b"]
    );
}

#[test]
fn a_pipeline_that_goes_takes_its_own_components_along() {
    let line = "    metrics/b: {receivers: [feed/b], exporters: [sink, sink/b]}\n";
    assert_eq!(steps_beside_updates(BASE, &BASE.replace(line, "")), ["stop feed/b", "stop sink/b"]);
}

#[test]
fn an_extension_is_renewed_on_demand_with_what_holds_it() {
    let holding = BASE.replace("sink/b: {}", "sink/b: {auth: {authenticator: note}}");
    let renew = BTreeSet::from([Slot::Extension("note".parse().unwrap())]);
    let steps = plan(&graph(&holding), &graph(&holding), &renew);
    let replaced = steps.iter().filter(|step| matches!(step, Step::Replace(_))).count();
    assert_eq!(replaced, 2, "{steps:?}");
}
