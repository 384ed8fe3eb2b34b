//! Outputs: records encoded as text, or only counted.

use std::sync::{Arc, OnceLock};

use super::rows::Growing;
use super::{Slot, Tail, TailMade, TaskContext, TaskError};
use crate::block::BlockDecoder;
use crate::exec::event_time::Bounds;
use crate::exec::task::OutputSetting;
use crate::id::OutputId;
use crate::record::{
    Alone, AsRecord, Format, InWindow, NotFinite, Record, Shown, write_csv_header, write_text,
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
        self.write(&Alone, record.as_view());
        if let Some(rows) = &mut self.rows
            && let Err(error) = rows.push(record.as_view())
        {
            self.failed.get_or_insert(error);
        }
    }

    /// Takes one record of a window.
    #[inline]
    pub fn push_in<P: AsRecord<Record = R>>(&mut self, window: Bounds, record: P) {
        if self.rows.is_some() {
            return self.push(record);
        }
        let shown = self.window.take().filter(|shown| shown.is(window));
        let shown = shown.unwrap_or_else(|| InWindow::new::<R>(window));
        self.write(&shown, record.as_view());
        self.window = Some(shown);
    }

    #[inline(always)]
    fn write(&mut self, shown: &impl Shown, view: R::View<'_>) {
        if self.records < u64::from(self.setting.preview) {
            shown.text::<R>(view, &mut self.preview);
            self.preview.push(b'\n');
        }
        let written = self.setting.limit.is_none_or(|limit| self.records < u64::from(limit));
        self.records += 1;
        let (true, Some(format)) = (written, self.setting.format) else { return };
        match format {
            Format::Text => shown.text::<R>(view, &mut self.bytes),
            Format::Csv => shown.csv::<R>(view, &self.setting.dialect, &mut self.bytes),
            Format::Json => {
                let floats = self.setting.floats;
                if let Err(why) = shown.json::<R>(view, floats, &mut self.bytes) {
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
                InWindow::write_header::<R>(&self.setting.dialect, &mut header);
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
