//! The configuration loaded anew: judged first, and put in force whole or not at all.
//!
//! Runs under way keep the configuration they began with; whatever begins later has the new one.

use crate::os::panics::off_thread;
use std::sync::Arc;

use super::{Daemon, watchdog};
use crate::config::{self, Settings};
use crate::domain::error::{Error, Failure, Result};
use crate::server;
use crate::telemetry::metrics;

impl Daemon {
    /// Loads the configuration anew, or keeps the old one and says why.
    pub(super) async fn reload(&mut self, context: &server::Context) {
        watchdog::reloading();
        let loaded = self.load_anew(context).await;
        metrics::reload(loaded.is_ok());
        match loaded {
            Ok(()) => {
                let syncs = self.settings.syncs.len();
                tracing::info!(
                    syncs,
                    listen = self.listens_at().map(tracing::field::display),
                    "the configuration was loaded anew"
                );
            }
            Err(failure) => {
                tracing::error!(
                    error = %failure.chain(),
                    help = failure.help.as_deref(),
                    "the configuration on disk is refused; the one before stays in force"
                );
                self.live.refused(failure.chain());
            }
        }
        watchdog::ready(&self.in_a_line());
    }

    async fn load_anew(&mut self, context: &server::Context) -> Result<()> {
        let files = self.files.clone();
        let load = move || config::load(&files, config::environment()).map_err(|errors| config::failure(&errors));
        let loaded = off_thread("loading the configuration broke off", load).await??;
        for warning in &loaded.warnings {
            warning.warn();
        }
        let settings = Arc::new(loaded.settings);
        self.refuse_what_needs_a_restart(&settings)?;
        self.serve_elsewhere(&settings, context).await?;
        self.scheduler.adopt(&settings, self.clock.now());
        self.clients.keep(|target| settings.targets.contains_key(target));
        self.live.configured(Arc::clone(&settings));
        self.live.next_runs(self.scheduler.next_runs());
        self.settings = settings;
        self.runner().warn_of_unconfigured().await
    }

    fn refuse_what_needs_a_restart(&self, settings: &Settings) -> Result<()> {
        let (now, then) = (&self.settings.state.path, &settings.state.path);
        if now == then {
            return Ok(());
        }
        Err(Failure::new(Error::Config, format!("state.path was {} and is now {}", now.display(), then.display()))
            .help("another database needs a restart; make sure that the old one has been moved there"))
    }

    /// Has the server be as the configuration now says. A new address is had before the old one is given up; at the same
    /// address the old server goes first.
    async fn serve_elsewhere(&mut self, settings: &Settings, context: &server::Context) -> Result<()> {
        if settings.server == self.settings.server {
            return Ok(());
        }
        let listen = |settings: &Settings| settings.server.as_ref().map(|s| s.listen);
        if listen(settings) == listen(&self.settings)
            && let Some(old) = self.server.take()
        {
            old.end().await;
        }
        let moved = match &settings.server {
            Some(server) => Some(server::start(server, context).await?),
            None => None,
        };
        if let Some(old) = std::mem::replace(&mut self.server, moved) {
            tokio::spawn(old.end());
        }
        Ok(())
    }
}
