//! Outputs: records encoded as text, or only counted.

use std::sync::{Arc, OnceLock};

use super::rows::Growing;
use super::{Slot, Tail, TailMade, TaskContext, TaskError};
use crate::block::BlockDecoder;
use crate::exec::event_time::Bounds;
use crate::exec::task::OutputSetting;
use crate::id::OutputId;
use crate::record::{
    AsRecord, Format, InWindow, NotFinite, Record, write_csv_as, write_csv_header, write_json,
    write_text,
};
use crate::sink::{Part, pack};

/// How much of a record that cannot be written is shown, in characters.
const SHOWN: usize = 200;

/// Encodes records for an output.
pub struct Output<R: Record> {
    setting: OutputSetting,
    records: u64,
    bytes: Vec<u8>,
    /// The records themselves, for a function of the program.
    rows: Option<Growing<R>>,
    /// The first record that did not fit; pushing cannot fail, so it is reported at the end.
    failed: Option<TaskError>,
    preview: Vec<u8>,
    /// The first record that the format cannot hold, and why.
    refused: Option<String>,
    output: OutputId,
    shows_windows: bool,
    /// The window of the last record.
    window: Option<InWindow>,
}

/// What the tasks of an output share: which one it is.
#[derive(Default)]
pub struct OutputRecipe {
    id: OnceLock<OutputId>,
    /// Its records have windows, which are written before them.
    windows: OnceLock<()>,
}

impl<R: Record> Slot<Output<R>> {
    pub(crate) fn bind(&self, id: OutputId) {
        let _ = self.0.id.set(id);
    }

    pub(crate) fn show_windows(&self) {
        let _ = self.0.windows.set(());
    }
}

impl<R: Record> Output<R> {
    /// Takes one record.
    #[inline]
    pub fn push<P: AsRecord<Record = R>>(&mut self, record: P) {
        if self.records < u64::from(self.setting.preview) {
            write_text::<R>(record.as_view(), &mut self.preview);
            self.preview.push(b'\n');
        }
        let shown = self.setting.limit.is_none_or(|limit| self.records < u64::from(limit));
        self.records += 1;
        if let (true, Some(format)) = (shown, self.setting.format) {
            match format {
                Format::Text => write_text::<R>(record.as_view(), &mut self.bytes),
                Format::Csv => {
                    let dialect = &self.setting.dialect;
                    write_csv_as::<R>(record.as_view(), dialect, &mut self.bytes);
                }
                Format::Json => {
                    let floats = self.setting.floats;
                    if let Err(why) = write_json::<R>(record.as_view(), floats, &mut self.bytes) {
                        return self.refuse(record.as_view(), &why);
                    }
                }
            }
            self.bytes.push(b'\n');
        } else if let Some(rows) = &mut self.rows
            && let Err(error) = rows.push(record.as_view())
        {
            self.failed.get_or_insert(error);
        }
    }

    /// Takes one record of a window.
    #[inline]
    pub fn push_in<P: AsRecord<Record = R>>(&mut self, window: Bounds, record: P) {
        if self.rows.is_some() || !self.shows_windows {
            return self.push(record);
        }
        if self.window.as_ref().is_none_or(|shown| !shown.is(window)) {
            self.window = Some(InWindow::new(window));
        }
        let Some(shown) = &self.window else { return };
        let view = record.as_view();
        if self.records < u64::from(self.setting.preview) {
            shown.write_text::<R>(view, &mut self.preview);
            self.preview.push(b'\n');
        }
        let written = self.setting.limit.is_none_or(|limit| self.records < u64::from(limit));
        self.records += 1;
        let (true, Some(format)) = (written, self.setting.format) else { return };
        match format {
            Format::Text => shown.write_text::<R>(view, &mut self.bytes),
            Format::Csv => shown.write_csv::<R>(view, &self.setting.dialect, &mut self.bytes),
            Format::Json => {
                let floats = self.setting.floats;
                if let Err(why) = shown.write_json::<R>(view, floats, &mut self.bytes) {
                    return self.refuse(view, &why);
                }
            }
        }
        self.bytes.push(b'\n');
    }

    /// Keeps the first record that cannot be written, as text: the task fails with it.
    #[cold]
    fn refuse(&mut self, record: R::View<'_>, why: &NotFinite) {
        if self.refused.is_none() {
            let mut text = Vec::new();
            write_text::<R>(record, &mut text);
            let text: String = String::from_utf8_lossy(&text).chars().take(SHOWN).collect();
            self.refused = Some(format!("the record {text:?} cannot be written: {why}"));
        }
    }
}

impl<R: Record> Tail for Output<R> {
    type Record = R;
    type Recipe = OutputRecipe;

    fn open(recipe: &Arc<OutputRecipe>, cx: &TaskContext<'_>) -> Self {
        let output = recipe.id.get().copied().unwrap_or(OutputId(u16::MAX));
        let setting = cx.outputs.get(output.index()).copied().unwrap_or_default();
        Self {
            setting,
            records: 0,
            bytes: Vec::new(),
            rows: setting.rows.then(|| Growing::new(cx)),
            failed: None,
            preview: Vec::new(),
            refused: None,
            output,
            shows_windows: recipe.windows.get().is_some(),
            window: None,
        }
    }

    fn close(self, cx: &TaskContext<'_>) -> Result<TailMade, TaskError> {
        if let Some(why) = self.refused {
            return Err(TaskError::Output { output: self.output, why });
        }
        if let Some(error) = self.failed {
            return Err(error);
        }
        let bytes = self.rows.map_or(self.bytes, |rows| pack(rows.blocks()));
        let mut header = Vec::new();
        if self.setting.format == Some(Format::Csv) {
            if self.shows_windows {
                InWindow::write_header(&self.setting.dialect, &mut header);
            }
            write_csv_header(&R::SCHEMA, &self.setting.dialect, &mut header);
        }
        let part = Part {
            partition: cx.task.partition,
            records: self.records,
            bytes: Arc::new(bytes),
            header: header.into(),
        };
        Ok(TailMade::Part { part, preview: self.preview })
    }

    fn door(_: &OutputRecipe) -> Option<BlockDecoder> {
        None
    }
}
