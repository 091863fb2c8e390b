//! `/metrics`: read from the workers' snapshots and the registry at every scrape; nothing is
//! counted here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::proto::{self, MetricFamily};
use prometheus::{Encoder as _, TextEncoder};
use prometheus::{GaugeVec, IntCounterVec, Opts, core::Collector as _};
use sfu_core::stats::ESTIMATE_BOUNDS_BPS;

use crate::api::Context;
use crate::media::{Latency, TcpStats, WorkerSnapshot};

/// Renders the metrics of one server.
pub(crate) struct Metrics {
    encoder: TextEncoder,
}

/// One scrape being put together.
struct Scrape(Vec<MetricFamily>);

impl Metrics {
    pub(crate) fn new() -> Self {
        Self { encoder: TextEncoder::new() }
    }

    /// The text of one scrape.
    pub(crate) fn render(&self, context: &Context) -> prometheus::Result<String> {
        let mut scrape = Scrape(Vec::new());
        scrape.control_plane(context)?;
        scrape.workers(&context.sessions.media().snapshots())?;
        scrape.tcp(context.sessions.media().tcp())?;
        let waiting = context.sessions.media().commands_waiting();
        let waiting: usize = waiting.iter().sum();
        scrape.gauge(
            "sfu_queue_length",
            "Entries waiting, by queue",
            &["queue"],
            &[(&["commands"], waiting as f64)],
        )?;
        let mut text = Vec::new();
        self.encoder.encode(&scrape.0, &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl Scrape {
    fn control_plane(&mut self, context: &Context) -> prometheus::Result<()> {
        let census = context.sessions.census();
        let sessions = &context.sessions.counters;
        let http = &context.counters;
        let n = |n: usize| n as f64;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.gauge(
            "sfu_build_info",
            "Always 1",
            &["version"],
            &[(&[env!("CARGO_PKG_VERSION")], 1.0)],
        )?;
        let draining = f64::from(u8::from(context.sessions.is_draining()));
        self.gauge("sfu_draining", "1 while joins are refused", &[], &[(&[], draining)])?;
        let shed = f64::from(sessions.shed_level.load(Ordering::Relaxed));
        let steps = "Steps that the worst-off worker's videos are cut down by, for overload, now";
        self.gauge("sfu_video_shed_steps", steps, &[], &[(&[], shed)])?;
        self.gauge("sfu_rooms", "Rooms now", &[], &[(&[], n(census.rooms))])?;
        let spanning = n(census.rooms_spanning);
        self.gauge("sfu_rooms_spanning", "Rooms on several workers now", &[], &[(&[], spanning)])?;
        let direct = n(census.rooms_direct);
        self.gauge("sfu_rooms_direct", "Rooms whose media goes past us", &[], &[(&[], direct)])?;
        self.gauge(
            "sfu_participants",
            "Participants now, by door",
            &["door"],
            &[
                (&["web_socket"], n(census.websockets)),
                (&["whip"], n(census.whip)),
                (&["whep"], n(census.whep)),
            ],
        )?;
        let tracks = "Published tracks (in) and m-lines that carry one (out)";
        self.gauge(
            "sfu_tracks",
            tracks,
            &["kind", "dir"],
            &[
                (&["audio", "in"], n(census.audio_in)),
                (&["video", "in"], n(census.video_in)),
                (&["audio", "out"], n(census.audio_out)),
                (&["video", "out"], n(census.video_out)),
            ],
        )?;
        let index = "Entries of the maps that find participants and rooms by id";
        self.gauge("sfu_index_entries", index, &[], &[(&[], n(census.index_entries))])?;
        let websockets = count(&http.websockets) as f64;
        self.gauge("sfu_websockets", "Open WebSockets", &[], &[(&[], websockets)])?;
        self.counter(
            "sfu_joins_total",
            "Participants that joined",
            &[],
            &[(&[], count(&sessions.joins))],
        )?;
        self.counter(
            "sfu_leaves_total",
            "Participants that left, however",
            &[],
            &[(&[], count(&sessions.leaves))],
        )?;
        self.counter(
            "sfu_auth_failures_total",
            "Requests without a token, or with one that does not count",
            &[],
            &[(&[], count(&http.auth_failures))],
        )?;
        let outcomes = context.sessions.webhook_outcomes();
        let outcomes = outcomes.each_ref().map(|(result, n)| ([*result], *n));
        self.counter(
            "sfu_webhook_deliveries_total",
            "What became of messages to webhooks; retried counts attempts",
            &["result"],
            &outcomes.each_ref().map(|(result, n)| (&result[..], *n)),
        )?;
        self.counter(
            "sfu_kicks_forgotten_total",
            "Kicks that no longer keep old tokens out because there are too many",
            &[],
            &[(&[], context.sessions.kicks_forgotten())],
        )?;
        self.layer_switches(&sessions.layer_switches.by_reason())?;
        self.histogram(
            "sfu_join_duration_seconds",
            "Time from a join to the moment when media can flow",
            &sessions.join_duration.cumulative(),
            sessions.join_duration.sum(),
        );
        self.counter(
            "sfu_resumes_total",
            "WebSockets that went on from one that broke",
            &[],
            &[(&[], count(&sessions.resumes))],
        )?;
        let refused = "Requests refused or connections closed at the doors, by reason";
        self.counter(
            "sfu_refused_total",
            refused,
            &["reason"],
            &[
                (&["join_rate"], count(&http.rate_limited)),
                (&["protocol_error"], count(&http.protocol_errors)),
                (&["slow_consumer"], count(&sessions.slow_consumers)),
                (&["overload"], count(&sessions.overloads)),
            ],
        )?;
        self.counter(
            "sfu_control_panics_total",
            "Panics caught in the control plane",
            &[],
            &[(&[], count(&sessions.panics))],
        )
    }

    fn tcp(&mut self, tcp: &TcpStats) -> prometheus::Result<()> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let open = tcp.open.load(Ordering::Relaxed) as f64;
        self.gauge("sfu_tcp_connections", "TCP connections of media now", &[], &[(&[], open)])?;
        self.counter(
            "sfu_tcp_connections_total",
            "TCP connections to the media port, and what became of them",
            &["result"],
            &[
                (&["accepted"], count(&tcp.accepted)),
                (&["refused"], count(&tcp.refused)),
                (&["stranger"], count(&tcp.strangers)),
                (&["forwarded"], count(&tcp.forwarded)),
                (&["oversize"], count(&tcp.oversize)),
            ],
        )?;
        self.counter(
            "sfu_tcp_datagrams_dropped_total",
            "Datagrams that waited too long for a TCP connection, or found too many waiting",
            &[],
            &[(&[], count(&tcp.dropped))],
        )
    }

    fn workers(&mut self, workers: &[WorkerSnapshot]) -> prometheus::Result<()> {
        let sum = |read: fn(&WorkerSnapshot) -> u64| workers.iter().map(read).sum::<u64>();
        let total = |read: fn(&WorkerSnapshot) -> u64| sum(read);
        self.gauge(
            "sfu_peers",
            "Peers of the engines now, by state",
            &["state"],
            &[
                (&["connected"], sum(|w| w.engine.peers_connected) as f64),
                (
                    &["other"],
                    sum(|w| w.engine.peers.saturating_sub(w.engine.peers_connected)) as f64,
                ),
            ],
        )?;
        let engine_rooms = sum(|w| w.engine.rooms) as f64;
        self.gauge("sfu_engine_rooms", "Rooms of the engines now", &[], &[(&[], engine_rooms)])?;
        let engine_tracks = sum(|w| w.engine.tracks) as f64;
        self.gauge("sfu_engine_tracks", "Tracks of the engines now", &[], &[(&[], engine_tracks)])?;
        let mirrors = sum(|w| w.engine.mirrors) as f64;
        let mirrored = "Tracks of the engines that are mirrors of other engines' now";
        self.gauge("sfu_engine_mirrors", mirrored, &[], &[(&[], mirrors)])?;
        let subscriptions = sum(|w| w.engine.subscriptions) as f64;
        self.gauge("sfu_subscriptions", "Subscriptions now", &[], &[(&[], subscriptions)])?;
        let timers = sum(|w| w.engine.timers) as f64;
        self.gauge("sfu_timers", "Deadlines set in the engines now", &[], &[(&[], timers)])?;
        let addresses = sum(|w| w.engine.addresses) as f64;
        let known = "Addresses and ufrags that lead to a peer now";
        self.gauge("sfu_addresses", known, &[], &[(&[], addresses)])?;
        let pages = sum(|w| w.engine.history_pages) as f64;
        let held = "Pages that hold published payloads for delivery and retransmission now";
        self.gauge("sfu_history_pages", held, &[], &[(&[], pages)])?;
        let refused = "Times an encoding got no further page and overwrote what it had, or dropped";
        self.counter(
            "sfu_history_pages_refused_total",
            refused,
            &[],
            &[(&[], total(|w| w.engine.history_pages_refused))],
        )?;

        self.counter(
            "sfu_datagrams_total",
            "Datagrams",
            &["dir"],
            &[
                (&["in"], total(|w| w.engine.datagrams_in)),
                (&["out"], total(|w| w.engine.datagrams_out)),
            ],
        )?;
        self.counter(
            "sfu_datagram_bytes_total",
            "Bytes of datagrams",
            &["dir"],
            &[(&["in"], total(|w| w.engine.bytes_in)), (&["out"], total(|w| w.engine.bytes_out))],
        )?;
        let rtp = "RTP packets accepted and forwarded, and retransmissions";
        self.counter(
            "sfu_rtp_packets_total",
            rtp,
            &["dir", "kind"],
            &[
                (&["in", "media"], total(|w| w.engine.rtp_in)),
                (&["out", "media"], total(|w| w.engine.rtp_out)),
                (&["out", "retransmission"], total(|w| w.engine.rtx_out)),
            ],
        )?;
        self.counter(
            "sfu_rtp_bytes_total",
            "Bytes of payload in RTP packets accepted and forwarded",
            &["dir"],
            &[
                (&["in"], total(|w| w.engine.rtp_bytes_in)),
                (&["out"], total(|w| w.engine.rtp_bytes_out)),
            ],
        )?;
        let latency = workers.iter().fold(Latency::default(), |all, w| all.merged(&w.latency));
        self.histogram(
            "sfu_forward_latency_seconds",
            "From when a turn of a worker began to read to when a datagram it sent was the kernel's",
            &latency.cumulative(),
            latency.sum(),
        );
        self.estimates(workers)?;
        self.counter(
            "sfu_nack_requests_total",
            "Packets asked for again",
            &["dir"],
            &[(&["in"], total(|w| w.engine.nacks_in)), (&["out"], total(|w| w.engine.nacks_out))],
        )?;
        self.counter(
            "sfu_keyframe_requests_total",
            "Keyframe requests",
            &["dir", "type"],
            &[
                (&["in", "pli"], total(|w| w.engine.keyframe_requests_in - w.engine.firs_in)),
                (&["in", "fir"], total(|w| w.engine.firs_in)),
                (&["out", "pli"], total(|w| w.engine.keyframe_requests_out)),
            ],
        )?;
        self.transports(workers)?;
        self.drops(workers)?;
        let panics = "Panics contained by the engine, and caught around it";
        self.counter(
            "sfu_panics_total",
            panics,
            &["where"],
            &[(&["engine"], total(|w| w.engine.panics)), (&["worker"], total(|w| w.panics))],
        )?;
        self.sockets(workers)
    }

    /// A transport that fails before a check was answered has `none` to carry it.
    fn transports(&mut self, workers: &[WorkerSnapshot]) -> prometheus::Result<()> {
        let opts = Opts::new("sfu_ice_connections_total", "Transports that connected and failed");
        let family = IntCounterVec::new(opts, &["result", "transport"])?;
        for outcomes in workers.iter().map(|worker| &worker.engine.transports) {
            for (result, counts) in [("connected", outcomes.connected), ("failed", outcomes.failed)]
            {
                for (carrier, count) in ["udp", "tcp", "none"].into_iter().zip(counts) {
                    family.with_label_values(&[result, carrier]).inc_by(count);
                }
            }
        }
        self.0.extend(family.collect());
        Ok(())
    }

    fn drops(&mut self, workers: &[WorkerSnapshot]) -> prometheus::Result<()> {
        let opts = Opts::new("sfu_rtp_dropped_packets_total", "Datagrams and packets dropped");
        let family = IntCounterVec::new(opts, &["reason"])?;
        for (reason, count) in workers.iter().flat_map(|worker| worker.engine.drops.iter()) {
            family.with_label_values(&[reason.name()]).inc_by(count);
        }
        self.0.extend(family.collect());
        Ok(())
    }

    fn sockets(&mut self, workers: &[WorkerSnapshot]) -> prometheus::Result<()> {
        let sum = |read: fn(&WorkerSnapshot) -> u64| workers.iter().map(read).sum::<u64>();
        self.counter(
            "sfu_socket_errors_total",
            "Datagrams lost at the sockets",
            &["reason"],
            &[
                (&["receive"], sum(|w| w.socket.receive_errors)),
                (&["send"], sum(|w| w.socket.send_errors)),
                (&["send_buffer_full"], sum(|w| w.socket.send_full)),
            ],
        )?;
        let calls = "System calls of the media threads";
        self.counter(
            "sfu_socket_calls_total",
            calls,
            &["call"],
            &[
                (&["send"], sum(|w| w.socket.send_calls)),
                (&["receive"], sum(|w| w.socket.receive_calls)),
                (&["wait"], sum(|w| w.waits)),
            ],
        )?;
        let messages = "Datagrams and runs of datagrams handed to the kernel";
        self.counter(
            "sfu_messages_sent_total",
            messages,
            &[],
            &[(&[], sum(|w| w.socket.messages_sent))],
        )?;
        let sent =
            "Datagrams taken by the kernel, in runs of two or more to be segmented or singly";
        self.counter(
            "sfu_datagrams_sent_total",
            sent,
            &["as"],
            &[
                (&["run"], sum(|w| w.socket.sent_in_runs)),
                (&["single"], sum(|w| w.socket.sent_singly)),
            ],
        )?;
        let refused = "Runs of datagrams the kernel would not segment";
        self.counter(
            "sfu_segmentation_refused_total",
            refused,
            &[],
            &[(&[], sum(|w| w.socket.segmentation_refused))],
        )?;
        self.counter(
            "sfu_commands_total",
            "Commands carried out",
            &[],
            &[(&[], sum(|w| w.commands))],
        )?;
        let dropped = "Lossy data and speaker events dropped on the way to the session layer";
        self.counter(
            "sfu_events_dropped_total",
            dropped,
            &[],
            &[(&[], sum(|w| w.events_dropped))],
        )?;
        let waiting = sum(|w| w.outputs_waiting) as f64;
        self.gauge(
            "sfu_outputs_waiting",
            "Outputs held for the session layer",
            &[],
            &[(&[], waiting)],
        )?;
        self.crossing(workers)
    }

    /// What crosses between workers.
    fn crossing(&mut self, workers: &[WorkerSnapshot]) -> prometheus::Result<()> {
        let sum = |read: fn(&WorkerSnapshot) -> u64| workers.iter().map(read).sum::<u64>();
        self.counter(
            "sfu_strays_total",
            "Datagrams read by another worker than their owner, by what became of them",
            &["result"],
            &[
                (&["passed_on"], sum(|w| w.crossing.strays_out)),
                (&["dropped"], sum(|w| w.crossing.strays_dropped)),
            ],
        )?;
        let batches = "Entries of queues between workers, each of many packets, and wake-ups";
        self.counter(
            "sfu_crossings_total",
            batches,
            &["kind"],
            &[
                (&["strays"], sum(|w| w.crossing.stray_batches)),
                (&["relay"], sum(|w| w.crossing.relay_messages)),
                (&["wake"], sum(|w| w.crossing.wakes)),
            ],
        )?;
        let news = "News of clients' addresses that a worker had no room for";
        self.counter(
            "sfu_path_news_dropped_total",
            news,
            &[],
            &[(&[], sum(|w| w.crossing.news_dropped))],
        )?;
        let handshakes = "DTLS datagrams dropped because too many waited for their turn";
        self.counter(
            "sfu_handshakes_dropped_total",
            handshakes,
            &[],
            &[(&[], sum(|w| w.handshakes_dropped))],
        )?;
        let relayed = "RTP packets that crossed between workers, by direction";
        self.counter(
            "sfu_relay_packets_total",
            relayed,
            &["dir"],
            &[(&["out"], sum(|w| w.engine.relayed_out)), (&["in"], sum(|w| w.engine.relayed_in))],
        )?;
        let bytes = "Bytes of RTP packets that crossed between workers";
        let crossed = sum(|w| w.crossing.relay_bytes);
        self.counter("sfu_relay_bytes_total", bytes, &[], &[(&[], crossed)])?;
        self.each_worker(workers)
    }

    /// What is worth knowing of each worker on its own.
    fn each_worker(&mut self, workers: &[WorkerSnapshot]) -> prometheus::Result<()> {
        let opts = Opts::new("sfu_worker_busy_seconds_total", "Time spent outside waiting");
        let busy = prometheus::CounterVec::new(opts, &["worker"])?;
        let opts =
            Opts::new("sfu_worker_busy_ratio", "Share of the last second spent outside waiting");
        let load = GaugeVec::new(opts, &["worker"])?;
        let opts = Opts::new("sfu_worker_peers", "Peers of one worker now");
        let peers = GaugeVec::new(opts, &["worker"])?;
        let opts = Opts::new("sfu_worker_others_paths", "Addresses known to be other workers' now");
        let paths = GaugeVec::new(opts, &["worker"])?;
        for (index, worker) in workers.iter().enumerate() {
            let label = [index.to_string()];
            busy.with_label_values(&label).inc_by(worker.busy_ns as f64 / 1e9);
            load.with_label_values(&label).set(worker.load.into());
            peers.with_label_values(&label).set(worker.engine.peers as f64);
            paths.with_label_values(&label).set(worker.others_paths as f64);
        }
        self.0.extend(busy.collect());
        self.0.extend([load, peers, paths].iter().flat_map(|family| family.collect()));
        Ok(())
    }

    fn layer_switches(&mut self, by_reason: &BTreeMap<&str, u64>) -> prometheus::Result<()> {
        let what = "Changes of the layer that a subscriber gets, by why it gets no more";
        let family = IntCounterVec::new(Opts::new("sfu_layer_switches_total", what), &["reason"])?;
        for (reason, n) in by_reason {
            family.with_label_values(&[*reason]).inc_by(*n);
        }
        self.0.extend(family.collect());
        Ok(())
    }

    /// What is thought of the paths of peers: a few classes, however many peers there are.
    fn estimates(&mut self, workers: &[WorkerSnapshot]) -> prometheus::Result<()> {
        let what = "Peers that are sent video, by how many bit/s their path is thought to carry";
        let family = GaugeVec::new(Opts::new("sfu_estimate_peers", what), &["up_to"])?;
        let bounds = ESTIMATE_BOUNDS_BPS.map(|bps| bps.to_string());
        let bounds = bounds.iter().map(String::as_str).chain(["inf"]);
        for (class, bound) in bounds.enumerate() {
            let peers: u64 = workers.iter().map(|w| w.engine.estimates[class]).sum();
            family.with_label_values(&[bound]).set(peers as f64);
        }
        self.0.extend(family.collect());
        Ok(())
    }

    /// `cumulative`: upper bounds, the last infinite, and how many were no larger.
    fn histogram(&mut self, name: &str, help: &str, cumulative: &[(f64, u64)], sum: f64) {
        let buckets = cumulative.iter().map(|(bound, count)| {
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(*count);
            bucket
        });
        let mut value = proto::Histogram::default();
        value.set_bucket(buckets.collect());
        value.set_sample_count(cumulative.last().map_or(0, |(_, count)| *count));
        value.set_sample_sum(sum);
        let mut metric = proto::Metric::default();
        metric.set_histogram(value);
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(proto::MetricType::HISTOGRAM);
        family.set_metric(vec![metric]);
        self.0.push(family);
    }

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        values: &[(&[&str], f64)],
    ) -> prometheus::Result<()> {
        let family = GaugeVec::new(Opts::new(name, help), labels)?;
        for (labels, value) in values {
            family.with_label_values(labels).set(*value);
        }
        self.0.extend(family.collect());
        Ok(())
    }

    fn counter(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        values: &[(&[&str], u64)],
    ) -> prometheus::Result<()> {
        let family = IntCounterVec::new(Opts::new(name, help), labels)?;
        for (labels, value) in values {
            family.with_label_values(labels).inc_by(*value);
        }
        self.0.extend(family.collect());
        Ok(())
    }
}
