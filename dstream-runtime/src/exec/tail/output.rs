//! Outputs: records encoded as text, or only counted.

use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use super::{Slot, Tail, TailMade, TaskContext, TaskError};
use crate::block::Door;
use crate::exec::task::OutputSetting;
use crate::id::OutputId;
use crate::record::{
    AsRecord, Format, Record, write_csv, write_csv_header, write_json, write_text,
};
use crate::sink::Part;

/// Encodes records for an output.
pub struct Output<R> {
    setting: OutputSetting,
    records: u64,
    bytes: Vec<u8>,
    preview: Vec<u8>,
    record: PhantomData<fn(R)>,
}

/// What the tasks of an output share: which one it is.
#[derive(Default)]
pub struct OutputRecipe {
    id: OnceLock<OutputId>,
}

impl<R: Record> Slot<Output<R>> {
    pub(crate) fn bind(&self, id: OutputId) {
        let _ = self.0.id.set(id);
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
                Format::Csv => write_csv::<R>(record.as_view(), &mut self.bytes),
                Format::Json => write_json::<R>(record.as_view(), &mut self.bytes),
            }
            self.bytes.push(b'\n');
        }
    }
}

impl<R: Record> Tail for Output<R> {
    type Record = R;
    type Recipe = OutputRecipe;

    fn open(recipe: &Arc<OutputRecipe>, cx: &TaskContext<'_>) -> Self {
        let setting = recipe.id.get().and_then(|id| cx.outputs.get(id.index())).copied();
        Self {
            setting: setting.unwrap_or_default(),
            records: 0,
            bytes: Vec::new(),
            preview: Vec::new(),
            record: PhantomData,
        }
    }

    fn close(self, cx: &TaskContext<'_>) -> Result<TailMade, TaskError> {
        let mut header = Vec::new();
        if self.setting.format == Some(Format::Csv) {
            write_csv_header(&R::SCHEMA, &mut header);
        }
        let part = Part {
            partition: cx.task.partition,
            records: self.records,
            bytes: Arc::new(self.bytes),
            header: header.into(),
        };
        Ok(TailMade::Part { part, preview: self.preview })
    }

    fn door(_: &OutputRecipe) -> Option<Door> {
        None
    }
}
