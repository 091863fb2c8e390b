//! What `/metrics` says keeps to the rules that monitoring expects, and the dashboard asks for
//! nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::harness::TestServer;

/// Label values that one metric may have: names of drops are the most.
const SERIES_MAX: usize = 80;
/// Units that are not base units, and what they should be.
const UNITS: [&str; 9] =
    ["_ms", "_us", "_ns", "_milliseconds", "_minutes", "_kb", "_kib", "_mb", "_percent"];

/// A family of the text format.
#[derive(Default)]
struct Family {
    help: String,
    kind: String,
    /// Labels of each series.
    series: Vec<BTreeMap<String, String>>,
}

/// The base name of a sample: a histogram's have suffixes.
fn family_name<'a>(name: &'a str, families: &BTreeMap<String, Family>) -> &'a str {
    let suffixes = ["_bucket", "_sum", "_count"];
    let bases = suffixes.iter().filter_map(|suffix| name.strip_suffix(suffix));
    let is_histogram = |base: &&str| families.get(*base).is_some_and(|f| f.kind == "histogram");
    bases.into_iter().find(is_histogram).unwrap_or(name)
}

fn parse(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
            let family = families.entry(name.to_owned()).or_default();
            assert!(family.help.is_empty(), "{name} is described twice");
            family.help = help.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            families.get_mut(name).expect("HELP comes first").kind = kind.to_owned();
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
            let labels = labels.map(|label| {
                let (name, value) = label.split_once('=').unwrap();
                (name.to_owned(), value.trim_matches('"').to_owned())
            });
            let labels = labels.collect();
            let base = family_name(name, &families).to_owned();
            families
                .get_mut(&base)
                .unwrap_or_else(|| panic!("no HELP: {name}"))
                .series
                .push(labels);
        }
    }
    families
}

/// What is wrong with a name, a type or labels.
fn faults(families: &BTreeMap<String, Family>) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, family) in families {
        let mut require = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("{name}: {what}"));
            }
        };
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        require(name.starts_with("sfu_") && name.chars().all(is_word), "the name");
        require(!family.help.is_empty() && !family.help.ends_with('.'), "the help");
        let is_counter = family.kind == "counter";
        require(is_counter == name.ends_with("_total"), "counters, and only they, end in _total");
        let base = name.trim_end_matches("_total");
        require(!UNITS.iter().any(|unit| base.ends_with(unit)), "base units only");
        require(["counter", "gauge", "histogram"].contains(&&*family.kind), "the type");
        for suffix in ["_bucket", "_count", "_sum", "_info_total"] {
            require(!name.ends_with(suffix), "a suffix that stands for something else");
        }
        require(family.series.len() <= SERIES_MAX, "too many series");
        let labels: BTreeSet<&String> = family.series.iter().flat_map(|one| one.keys()).collect();
        let of_users = ["room", "participant", "peer", "track", "identity", "address"];
        require(!labels.iter().any(|label| of_users.contains(&label.as_str())), "a label of users");
        require(labels.iter().all(|label| label.chars().all(is_word)), "a label's name");
        let distinct: BTreeSet<_> = family.series.iter().collect();
        let is_histogram = family.kind == "histogram";
        require(is_histogram || distinct.len() == family.series.len(), "a series twice");
    }
    faults
}

#[tokio::test]
async fn metrics_keep_to_the_rules() {
    let server = TestServer::start().await;
    let _joined = server.join("r", "a").await;
    let text = server.get("/metrics").await.text().await.unwrap();
    let families = parse(&text);
    assert!(families.len() > 40, "{text}");
    assert_eq!(faults(&families), Vec::<String>::new());
    server.server.stop().await;
}

/// What dashboards of others may count on: names, types and labels of series that are always there.
const PROMISED: [(&str, &str, &[&str]); 18] = [
    ("sfu_rooms", "gauge", &[]),
    ("sfu_participants", "gauge", &["door"]),
    ("sfu_tracks", "gauge", &["dir", "kind"]),
    ("sfu_rtp_packets_total", "counter", &["dir", "kind"]),
    ("sfu_rtp_bytes_total", "counter", &["dir"]),
    ("sfu_rtp_dropped_packets_total", "counter", &["reason"]),
    ("sfu_nack_requests_total", "counter", &["dir"]),
    ("sfu_keyframe_requests_total", "counter", &["dir", "type"]),
    ("sfu_layer_switches_total", "counter", &["reason"]),
    ("sfu_forward_latency_seconds", "histogram", &["le"]),
    ("sfu_join_duration_seconds", "histogram", &["le"]),
    ("sfu_ice_connections_total", "counter", &["result", "transport"]),
    ("sfu_webhook_deliveries_total", "counter", &["result"]),
    ("sfu_queue_length", "gauge", &["queue"]),
    ("sfu_worker_busy_ratio", "gauge", &["worker"]),
    ("sfu_build_info", "gauge", &["version"]),
    ("sfu_draining", "gauge", &[]),
    ("sfu_auth_failures_total", "counter", &[]),
];

#[tokio::test]
async fn what_is_promised_is_there_by_name_type_and_labels() {
    let server = TestServer::start().await;
    let _joined = server.join("r", "a").await;
    let families = parse(&server.get("/metrics").await.text().await.unwrap());
    for (name, kind, labels) in PROMISED {
        let family = families.get(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(family.kind, kind, "{name}");
        for series in &family.series {
            // Sums and counts of a histogram have no bounds.
            let is_whole = kind == "histogram" && series.is_empty();
            assert!(is_whole || series.keys().eq(labels), "{name}: {series:?}");
        }
        assert!(!family.series.is_empty(), "{name} has no series");
    }
    server.server.stop().await;
}

#[test]
fn the_rules_refuse_what_they_should() {
    for wrong in [
        "# HELP room_count Rooms\n# TYPE room_count gauge\nroom_count 1",
        "# HELP sfu_x \n# TYPE sfu_x gauge\nsfu_x 1",
        "# HELP sfu_x X\n# TYPE sfu_x counter\nsfu_x 1",
        "# HELP sfu_x_total X\n# TYPE sfu_x_total gauge\nsfu_x_total 1",
        "# HELP sfu_x_ms X\n# TYPE sfu_x_ms gauge\nsfu_x_ms 1",
        "# HELP sfu_x X\n# TYPE sfu_x gauge\nsfu_x{room=\"a\"} 1",
        "# HELP sfu_x X\n# TYPE sfu_x gauge\nsfu_x{a=\"1\"} 1\nsfu_x{a=\"1\"} 2",
    ] {
        assert!(!faults(&parse(wrong)).is_empty(), "{wrong}");
    }
    assert!(faults(&parse("# HELP sfu_x X\n# TYPE sfu_x gauge\nsfu_x{a=\"1\"} 1")).is_empty());
}

/// Names of metrics in a query.
fn names(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("sfu_"))
}

fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let (true, Some(query)) = (["expr", "query"].contains(&&**name), value.as_str())
                {
                    found.push(query.to_owned());
                }
                queries(value, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_dashboard_asks_only_for_what_there_is() {
    let dashboard: Value =
        serde_json::from_str(include_str!("../../../deploy/grafana/sfu.json")).unwrap();
    let mut found = Vec::new();
    queries(&dashboard, &mut found);
    let server = TestServer::start().await;
    let text = server.get("/metrics").await.text().await.unwrap();
    let families = parse(&text);
    let mut asked = 0;
    for name in found.iter().flat_map(|query| names(query)) {
        let base = family_name(name, &families);
        assert!(families.contains_key(base), "the dashboard asks for {name}");
        asked += 1;
    }
    assert!(asked > 20, "it asks for something: {found:?}");
    server.server.stop().await;
}

#[tokio::test]
async fn metrics_have_an_address_of_their_own_where_one_is_named() {
    let apart = Some("127.0.0.1:0".parse().unwrap());
    let server = TestServer::start_with(|settings| settings.telemetry.metrics_addr = apart).await;
    assert_eq!(server.get("/metrics").await.status(), 404);
    assert_eq!(server.get("/readyz").await.status(), 200);
    let addr = server.server.metrics_addr.unwrap();
    let text = reqwest::get(format!("http://{addr}/metrics")).await.unwrap().text().await.unwrap();
    assert!(text.contains("sfu_rooms"), "{text}");
    for path in ["/readyz", "/api/v1/rooms", "/"] {
        let response = reqwest::get(format!("http://{addr}{path}")).await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
    }
    server.server.stop().await;
    assert!(reqwest::get(format!("http://{addr}/metrics")).await.is_err(), "it ends too");
}
