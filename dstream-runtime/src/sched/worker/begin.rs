//! A batch begins: what each of its tasks misses, and which may run at once.

use super::*;

impl WorkerCore {
    /// A batch has been cut: counts what each task misses, and runs those that miss nothing.
    pub(super) fn begin(
        &mut self,
        batch: BatchSeq,
        begun: (BatchTime, Arc<[Reach]>),
        inputs: &[u32],
        ranges: Vec<TaskInput>,
    ) {
        if self.is_abandoned(batch) {
            return;
        }
        let Some(row) = self.epochs.of(batch) else { return };
        let (epoch, mine) = (row.epoch.max(self.recovered), Arc::clone(&row.mine));
        let Some(at) = self.table(batch) else { return };
        if self.tables[at].begun.is_some() {
            return;
        }
        self.tables[at].begin(epoch, begun, Arc::clone(&mine), ranges);
        let plan = self.shape.plan;
        for row in plan.stages {
            self.tables[at].stages[row.id.index()].tasks = self.shape.tasks(row, batch, inputs);
        }
        for row in plan.stages {
            self.begin_stage(at, row.id, &mine);
        }
        for row in plan.stages {
            for partition in mine.iter() {
                self.run_if_ready(at, row.id, *partition);
            }
        }
    }

    fn begin_stage(&mut self, at: usize, stage: StageId, mine: &[u32]) {
        let (row, batch) = (self.shape.plan.stage(stage), self.tables[at].batch);
        let tasks = self.tables[at].stages[stage.index()].tasks;
        if tasks == 0 {
            return;
        }
        let (stages, part) = (&self.tables[at].stages, &self.tables[at].parts[0]);
        let unheard = |from: &StageId| {
            let tasks = stages[from.index()].tasks;
            tasks - part.stages[from.index()].heard.count_below(tasks as usize) as u32
        };
        let wide = row.inputs.iter().filter(|input| input.dependency != Dependency::Narrow);
        let wide: u32 = wide.flat_map(|input| input.from).map(|(from, _)| unheard(from)).sum();
        let before = self.shape.state_before(row, batch);
        let mine = &mine[..mine.partition_point(|partition| *partition < tasks)];
        for partition in mine.iter().copied() {
            let (stages, part) = (&self.tables[at].stages, &self.tables[at].parts[0]);
            let narrow = row.inputs.iter().filter(|input| input.dependency == Dependency::Narrow);
            let narrow = narrow.flat_map(|input| input.from).filter(|(from, _)| {
                let heard = &part.stages[from.index()].heard;
                partition < stages[from.index()].tasks && !heard.contains(partition as usize)
            });
            let state = self.states.misses(stage, Partition(partition), before);
            let missing = narrow.count() as u32 + u32::from(wide > 0) + u32::from(state);
            self.tables[at].stages[stage.index()].phases[partition as usize] =
                Phase::Waiting(missing);
        }
        self.tables[at].parts[0].stages[stage.index()].wide_missing = wide;
        for (from, _) in row.inputs.iter().flat_map(|input| input.from) {
            self.tables[at].stages[from.index()].readers_left += mine.len() as u32;
        }
    }

    pub(super) fn run_if_ready(&mut self, at: usize, stage: StageId, partition: u32) {
        let phase = self.tables[at].stages[stage.index()].phases.get(partition as usize);
        if phase == Some(&Phase::Waiting(0)) {
            let attempt = self.first_attempt(self.tables[at].batch, Partition(partition));
            self.run(at, stage, Partition(partition), attempt);
        }
    }

    /// Hands a task to the driver.
    pub(super) fn run(
        &mut self,
        at: usize,
        stage: StageId,
        partition: Partition,
        attempt: Attempt,
    ) {
        let (row, table) = (self.shape.plan.stage(stage), &mut self.tables[at]);
        let (batch, Some((time, reach))) = (table.batch, table.begun.clone()) else {
            return;
        };
        if self.abandoned.is_some_and(|from| batch >= from) {
            return;
        }
        table.stages[stage.index()].phases[partition.index()] = Phase::Running(attempt);
        let mut inputs: Vec<Vec<BlockId>> = Vec::new();
        for (index, (from, tail)) in row
            .inputs
            .iter()
            .enumerate()
            .flat_map(|(i, input)| input.from.iter().map(move |f| (i, f)))
        {
            let producers = table.stages[from.index()].producers(*tail, partition);
            if producers.is_empty() {
                continue;
            }
            inputs.resize_with(row.inputs.len(), Vec::new);
            inputs[index].extend(producers.iter().map(|producer| BlockId {
                producer: TaskId { batch, stage: *from, partition: *producer },
                tail: *tail,
                partition,
            }));
        }
        let task = TaskId { batch, stage, partition };
        let emits = row.emits_in(batch);
        let ranges = row.source().map(|source| table.ranges(source, partition));
        let ranges = ranges.unwrap_or_default();
        let run = RunTask { task, attempt, time, reach, emits, inputs, ranges };
        self.actions.push_back(WorkerAction::Run(run));
    }
}
