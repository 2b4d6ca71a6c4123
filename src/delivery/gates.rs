//! The gates of all targets: syncs on one target pass the same one, so that together they keep to its rate.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::rate::{GateCounters, RateGate};
use crate::config::settings::TargetSettings;
use crate::config::units::Rate;

/// Gates by the target's name; cheap to clone, and all clones are the same.
#[derive(Clone, Default)]
pub struct Gates(Arc<Mutex<BTreeMap<String, Kept>>>);

struct Kept {
    rate: Rate,
    burst: u32,
    gate: Arc<RateGate>,
}

/// A gate as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct GateReading {
    /// The target.
    pub target: String,
    /// What it allows.
    pub rate: Rate,
    /// What it has seen.
    pub counters: GateCounters,
}

impl Gates {
    /// The gate of this target.
    ///
    /// Where the configuration has changed the rate, the old gate stays as long as somebody sends through it: two
    /// gates at once would let through more than either allows.
    pub fn of(&self, settings: &TargetSettings) -> Arc<RateGate> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (rate, burst) = (settings.rate, settings.burst);
        if let Some(kept) = gates.get(&settings.name)
            && (kept.rate, kept.burst) != (rate, burst)
            && Arc::strong_count(&kept.gate) == 1
        {
            gates.remove(&settings.name);
        }
        let kept = gates.entry(settings.name.clone()).or_insert_with(|| Kept {
            rate,
            burst,
            gate: Arc::new(RateGate::new(rate, burst)),
        });
        Arc::clone(&kept.gate)
    }

    /// All gates, by target.
    pub fn readings(&self) -> Vec<GateReading> {
        let gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = |(target, kept): (&String, &Kept)| GateReading {
            target: target.clone(),
            rate: kept.rate,
            counters: kept.gate.counters(),
        };
        gates.iter().map(reading).collect()
    }

    /// Forgets the gates of targets that the configuration no longer has, unless they are in use.
    pub fn keep(&self, wanted: impl Fn(&str) -> bool) {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.retain(|target, kept| wanted(target) || Arc::strong_count(&kept.gate) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn settings(rate: &str) -> Settings {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("r.toml");
        let text = format!(
            "[state]\npath = \"s.db\"\n[targets.juno]\nkind = \"juno\"\nbase_url = \"https://a.example/api\"\n\
             auth = {{ kind = \"bearer\", token = {{ env = \"T\" }} }}\nrate = \"{rate}\"\n"
        );
        std::fs::write(&file, text).expect("written");
        crate::config::load(&[file], []).expect("valid").settings
    }

    #[test]
    fn one_target_has_one_gate_and_a_new_rate_waits_for_the_old_gate_to_be_free() {
        let (slow, fast) = (settings("1/s"), settings("9/s"));
        let gates = Gates::default();
        let first = gates.of(&slow.targets["juno"]);
        assert!(Arc::ptr_eq(&first, &gates.of(&slow.targets["juno"])));
        assert!(Arc::ptr_eq(&first, &gates.of(&fast.targets["juno"])), "the old gate is in use");
        assert_eq!(gates.readings()[0].rate.count, 1);
        drop(first);
        let _second = gates.of(&fast.targets["juno"]);
        assert_eq!(gates.readings()[0].rate.count, 9);
        gates.keep(|_| false);
        assert_eq!(gates.readings().len(), 1, "in use");
        drop(_second);
        gates.keep(|_| false);
        assert!(gates.readings().is_empty());
    }
}
