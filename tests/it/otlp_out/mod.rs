//! OTLP leaves: to another Oxidot, to independent servers, to servers that fail, and to AWS as far as signatures go.

mod durable;
mod independent;
mod outages;
mod round_trips;
mod secure;
mod signed;

use std::sync::{Arc, Mutex};

use pipeline::component::Signal;

use crate::support::http::{self, Reply, Request, Server};
use crate::support::wait_for;

pub(crate) const SIGNALS: [Signal; 3] = [Signal::Metrics, Signal::Traces, Signal::Logs];

/// A request of each signal with everything that OTLP has, in protobuf. Attributes are sorted, as the metrics of the model are.
pub(crate) fn rich(signal: Signal) -> Vec<u8> {
    let resource = r#""resource":{"attributes":[{"key":"list","value":{"arrayValue":{"values":[{"doubleValue":1.5},{"boolValue":true},{}]}}},{"key":"n","value":{"intValue":"-7"}},{"key":"service.name","value":{"stringValue":"shop"}}],"droppedAttributesCount":2}"#;
    let scope = r#""scope":{"name":"lib","version":"1.2","attributes":[{"key":"k","value":{"bytesValue":"AAEC"}}],"droppedAttributesCount":3},"schemaUrl":"https://s.example/scope""#;
    let exemplar = r#""exemplars":[{"filteredAttributes":[{"key":"user","value":{"stringValue":"u"}}],"timeUnixNano":"1700000000000000001","asDouble":0.5,"spanId":"eee19b7ec3c1b174","traceId":"5b8efff798038103d269b633813fc60c"}]"#;
    let times = r#""startTimeUnixNano":"1690000000000000000","timeUnixNano":"1700000000000000000""#;
    let json = match signal {
        Signal::Metrics => format!(
            r#"{{"resourceMetrics":[{{{resource},"scopeMetrics":[{{{scope},"metrics":[
            {{"name":"sum","description":"A sum.","unit":"By","metadata":[{{"key":"m","value":{{"stringValue":"d"}}}}],"sum":{{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{{"attributes":[{{"key":"a","value":{{"stringValue":"1"}}}}],{times},"asInt":"9007199254740993",{exemplar}}},{{"attributes":[{{"key":"a","value":{{"stringValue":"2"}}}}],{times},"asDouble":0.25}}]}}}},
            {{"name":"delta","sum":{{"aggregationTemporality":1,"dataPoints":[{{{times},"asDouble":-1}}]}}}},
            {{"name":"gauge","gauge":{{"dataPoints":[{{"timeUnixNano":"1700000000000000000","asDouble":21.5}},{{"attributes":[{{"key":"gone","value":{{"boolValue":true}}}}],"timeUnixNano":"1700000000000000000","flags":1}}]}}}},
            {{"name":"histogram","unit":"s","histogram":{{"aggregationTemporality":2,"dataPoints":[{{{times},"count":"3","sum":5.55,"bucketCounts":["1","1","1"],"explicitBounds":[0.1,1],{exemplar},"min":0.05,"max":5}},{{"attributes":[{{"key":"gone","value":{{"boolValue":true}}}}],"timeUnixNano":"1700000000000000000","bucketCounts":["0","0","0"],"explicitBounds":[0.1,1],"flags":1}}]}}}},
            {{"name":"exponential","exponentialHistogram":{{"aggregationTemporality":2,"dataPoints":[{{{times},"count":"6","sum":10,"scale":3,"zeroCount":"1","positive":{{"offset":-2,"bucketCounts":["1","0","2"]}},"negative":{{"offset":4,"bucketCounts":["2"]}},"min":-3,"max":4,"zeroThreshold":0.001}}]}}}},
            {{"name":"summary","summary":{{"dataPoints":[{{{times},"count":"2","sum":3,"quantileValues":[{{"quantile":0.5,"value":1}},{{"quantile":1,"value":2}}]}}]}}}}
            ]}}],"schemaUrl":"https://s.example/resource"}}]}}"#
        ),
        Signal::Traces => format!(
            r#"{{"resourceSpans":[{{{resource},"scopeSpans":[{{{scope},"spans":[
            {{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","traceState":"a=b","parentSpanId":"eee19b7ec3c1b173","name":"span","kind":2,"startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000000000009","attributes":[{{"key":"k","value":{{"kvlistValue":{{"values":[{{"key":"x","value":{{"stringValue":"y"}}}}]}}}}}}],"droppedAttributesCount":1,"events":[{{"timeUnixNano":"1700000000000000003","name":"half","attributes":[{{"key":"e","value":{{"intValue":"1"}}}}],"droppedAttributesCount":4}}],"droppedEventsCount":5,"links":[{{"traceId":"5b8efff798038103d269b633813fc60d","spanId":"eee19b7ec3c1b175","traceState":"c=d","droppedAttributesCount":6,"flags":257}}],"droppedLinksCount":7,"status":{{"message":"bad","code":2}},"flags":257}},{{"name":"other"}}
            ]}}],"schemaUrl":"https://s.example/resource"}}]}}"#
        ),
        Signal::Logs => format!(
            r#"{{"resourceLogs":[{{{resource},"scopeLogs":[{{{scope},"logRecords":[
            {{"timeUnixNano":"1700000000000000000","severityNumber":13,"severityText":"Warn","body":{{"stringValue":"something happened"}},"attributes":[{{"key":"k","value":{{"stringValue":"v"}}}}],"droppedAttributesCount":1,"flags":1,"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","observedTimeUnixNano":"1700000000000000005","eventName":"event"}},{{"body":{{"kvlistValue":{{"values":[{{"key":"a","value":{{"intValue":"1"}}}}]}}}}}}
            ]}}],"schemaUrl":"https://s.example/resource"}}]}}"#
        ),
    };
    // Written once more, so that fields stand in the order in which they are written from JSON.
    let body = otlp::json::to_protobuf(signal, json.as_bytes()).unwrap();
    let json = otlp::json::from_protobuf(signal, &body).unwrap();
    otlp::json::to_protobuf(signal, json.as_bytes()).unwrap()
}

/// Spans of these names, in protobuf.
pub(crate) fn spans(names: &[&str]) -> Vec<u8> {
    let spans: Vec<String> = names.iter().map(|name| format!("{{\"name\":\"{name}\"}}")).collect();
    let json = format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{}]}}]}}]}}", spans.join(","));
    otlp::json::to_protobuf(Signal::Traces, json.as_bytes()).unwrap()
}

/// The names of the spans in a request.
pub(crate) fn names(body: &[u8]) -> Vec<String> {
    let scopes = otlp::view::View::of(body).messages(1).flat_map(|resource| resource.messages(2));
    scopes.flat_map(|scope| scope.messages(2)).map(|span| span.text(5).into_owned()).collect()
}

/// Sends a request to a receiver of Oxidot by HTTP.
pub(crate) fn post(port: u16, signal: Signal, body: &[u8]) {
    let path = format!("/v1/{}", signal.name());
    let answer = http::post(port, &path, "application/x-protobuf", body).expect("the receiver answers");
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// A request as a server got it.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) at: std::time::Instant,
    pub(crate) request: Request,
}

impl Got {
    pub(crate) fn signal(&self) -> Option<Signal> {
        SIGNALS.into_iter().find(|signal| self.request.path.ends_with(&format!("/v1/{}", signal.name())))
    }
}

/// A server that takes OTLP over HTTP, answers as it is told, and keeps what it got.
pub(crate) struct Sink {
    server: Server,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Sink {
    /// Decides by the number of requests that came before.
    pub(crate) fn start(decide: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(decide, Server::start)
    }

    /// The same on this port, after an earlier server was dropped.
    pub(crate) fn start_on(port: u16, decide: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(decide, |handle| Server::start_on(port, handle))
    }

    fn with(
        decide: impl Fn(usize) -> Reply + Send + Sync + 'static,
        start: impl FnOnce(Box<dyn Fn(Request) -> Reply + Send + Sync>) -> Server,
    ) -> Self {
        let got = Arc::new(Mutex::new(Vec::new()));
        let keeps = Arc::clone(&got);
        let handle = move |request| {
            let mut got = keeps.lock().unwrap();
            let reply = decide(got.len());
            got.push(Got { at: std::time::Instant::now(), request });
            reply
        };
        Self { server: start(Box::new(handle)), got }
    }

    pub(crate) fn accepting() -> Self {
        Self::start(|_| ok())
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// Waits for so many requests and looks at all.
    pub(crate) fn wait_for<T>(&self, requests: usize, look: impl Fn(&[Got]) -> T) -> T {
        wait_for(&format!("{requests} requests"), || {
            let got = self.got.lock().unwrap();
            (got.len() >= requests).then(|| look(&got))
        })
    }

    /// The names of the spans of all requests, in the order in which they came.
    pub(crate) fn names(&self) -> Vec<String> {
        self.got.lock().unwrap().iter().flat_map(|got| names(&got.request.body)).collect()
    }
}

pub(crate) fn ok() -> Reply {
    answer(200, &[], b"")
}

pub(crate) fn answer(status: u16, headers: &[(&'static str, &str)], body: &[u8]) -> Reply {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Reply::Answer { status, headers, body: body.to_vec() }
}

/// A pipeline for each signal from a receiver to an exporter, which is written as a flow mapping.
pub(crate) fn pass_on(receiver: &str, exporter: &str, keys: &str) -> String {
    format!(
        "receivers: {{otlp: {{protocols: {receiver}}}}}\n\
         exporters: {{{exporter}: {keys}}}\n\
         service: {{pipelines: {{\
           metrics: {{receivers: [otlp], exporters: [{exporter}]}}, \
           traces: {{receivers: [otlp], exporters: [{exporter}]}}, \
           logs: {{receivers: [otlp], exporters: [{exporter}]}}}}}}\n"
    )
}
