//! A source that is one stream of bytes: any transport with any format.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::connector::{Connector, ReadRequest};
use super::format::{Decoder, Piece};
use super::intake::Intake;
use super::page_log::PageLog;
use super::preview::{Look, Preview};
use super::sink::Sink;
use super::transport::Transport;
use super::trust::{Completeness, ReadStats};
use crate::config::settings::{FormatSettings, RowsPerPerson, SourceSettings};
use crate::domain::error::Result;

/// Bytes from a transport, in a format.
pub(super) struct Stream<T> {
    source: Arc<SourceSettings>,
    transport: T,
    format: FormatSettings,
}

impl<T> Stream<T> {
    /// Opens nothing yet.
    pub fn new(source: &Arc<SourceSettings>, transport: T, format: FormatSettings) -> Stream<T> {
        Stream { source: Arc::clone(source), transport, format }
    }
}

impl<T: Transport> Connector for Stream<T> {
    fn check(&mut self, wanted: &BTreeSet<String>) -> Result<Vec<Preview>> {
        let mut look = Look::begin(&self.source, wanted);
        let input = self.transport.open(&self.source)?;
        let mut decoder = Decoder::new(&self.source, &self.format, wanted, true);
        let (completeness, _) = decoder.whole(input, &mut |took| look.take(took))?;
        Ok(vec![look.end(&self.source, completeness)?])
    }

    fn open(&mut self, request: &ReadRequest<'_>) -> Result<Intake> {
        let wanted = request.wanted;
        let mut sink = Sink::create(request.directory, self.source.rows, request.comparison)?;
        let input = self.transport.open(&self.source)?;
        let modified_at = input.modified_at();
        // What is declared is counted as people are.
        let declares = self.format.json().is_some_and(|json| json.total.is_some());
        let decoder = Decoder::new(&self.source, &self.format, wanted, false);
        let mut decoder = if declares { decoder } else { decoder.without_digests() };
        let mut log = declares.then(|| PageLog::new(self.source.rows == RowsPerPerson::Many));
        let (mut completeness, declared) = decoder.whole(input, &mut |took| {
            if let Piece::Row(row) = took {
                log.iter_mut().for_each(|log| log.row(&row));
                sink.take(row)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if completeness == Completeness::Complete {
            decoder.required_are_there()?;
            if let Some(log) = &mut log {
                log.end_page(declared);
                completeness = log.moved().map_or(Completeness::Complete, Completeness::Incomplete);
            }
        }
        Intake::settled(sink, wanted, ReadStats { completeness, modified_at, ..ReadStats::default() })
    }
}
