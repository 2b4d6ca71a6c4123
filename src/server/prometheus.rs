//! `/metrics`: what was counted, and what the state and the schedule say at this moment.

use axum::extract::State as Extract;
use axum::http::header;
use axum::response::IntoResponse;

use super::{Context, Refusal};
use crate::report::status;
use crate::report::status::{Line, STATES};
use crate::state::lock::Holder;
use crate::telemetry::metrics;
use crate::telemetry::metrics::Gauges;

pub(super) async fn answer(Extract(context): Extract<Context>) -> Result<impl IntoResponse, Refusal> {
    let view = context.live.view();
    let mut gauges = Gauges::default();
    gauges.add(metrics::BUILD, &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    gauges.add(metrics::START, &[], view.started_at.timestamp() as f64);
    gauges.add(metrics::CONFIGURATION_REFUSED, &[], f64::from(u8::from(view.refused.is_some())));
    // Whoever scrapes gets what there is, also while the state can't be asked.
    if let Ok(state) = context.ready.state() {
        let syncs = view.settings.syncs.values().map(AsRef::as_ref);
        let lines =
            status::lines(syncs, state, Some(Holder::Daemon), context.clock.now()).await.unwrap_or_else(|failure| {
                tracing::warn!(error = %failure.chain(), "how the syncs stand is missing from the metrics");
                Vec::new()
            });
        for line in lines {
            of_sync(&mut gauges, &line);
            let running = view.running.contains_key(&line.sync);
            gauges.add(metrics::RUNNING, &[("sync", &line.sync)], f64::from(u8::from(running)));
        }
    }
    for (sync, at) in &view.next {
        gauges.add(metrics::NEXT_RUN, &[("sync", sync)], at.timestamp() as f64);
    }
    for pace in &view.paces {
        let target = [("target", pace.reading.target.as_str())];
        let counters = pace.reading.counters;
        gauges.add(metrics::RATE_ALLOWED, &target, pace.reading.rate.per_second());
        gauges.add(metrics::RATE_USED, &target, pace.per_second);
        gauges.add(metrics::RATE_WAITS, &target, counters.waits as f64);
        gauges.add(metrics::RATE_WAIT_SECONDS, &target, counters.waited.as_secs_f64());
    }
    let text = context.measured.render() + &gauges.render();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

fn of_sync(gauges: &mut Gauges, line: &Line) {
    let sync = [("sync", line.sync.as_str())];
    gauges.add(metrics::LAST_GOOD_AGE, &sync, line.age_seconds.map_or(f64::INFINITY, |age| age as f64));
    if let Some(at) = line.last_run {
        gauges.add(metrics::LAST_RUN, &sync, at.timestamp() as f64);
    }
    gauges.add(metrics::HELD_PLANS, &sync, f64::from(u8::from(line.held_plan.is_some())));
    gauges.add(metrics::UNRESOLVED, &sync, line.unresolved as f64);
    for state in STATES {
        let labels = [("sync", line.sync.as_str()), ("state", state)];
        gauges.add(metrics::STATE, &labels, f64::from(u8::from(state == line.state)));
    }
}
