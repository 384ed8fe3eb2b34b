//! Partitions of batches that have begun change hands: what a lost partition's tasks miss at its new owner, and
//! which of them run again.
//!
//! A task of an adopted partition is *idle* until its output is needed: it has not been reported, the state that it
//! leaves is to be made again, or a task that reads it has asked. Then it asks for what it reads in its turn. So
//! exactly those tasks run again that something which is needed depends on.

use super::*;

impl WorkerCore {
    /// Forgets all tasks of lost partitions in a batch that has begun.
    pub(super) fn disown(&mut self, at: usize, lost: &[Partition]) {
        let mut running = Vec::new();
        let table = &mut self.tables[at];
        for part in &mut table.parts {
            if lost.iter().any(|partition| part.has(partition.0)) {
                let rest = part.mine.iter().copied();
                part.mine = rest.filter(|p| !lost.contains(&Partition(*p))).collect();
            }
        }
        for partition in lost {
            for (stage, table) in (0..).map(StageId).zip(&mut table.stages) {
                table.clear(partition.0);
                if let Some(phase) = table.phases.get_mut(partition.index()) {
                    if let Phase::Running(attempt) = *phase {
                        running.push((stage, *partition, attempt));
                    }
                    *phase = Phase::Absent;
                }
            }
        }
        let batch = table.batch;
        for (stage, partition, attempt) in running {
            self.haunts(TaskId { batch, stage, partition }, attempt);
        }
    }

    /// Takes over lost partitions in a batch that has begun; what their tasks read comes with it.
    pub(super) fn adopt(&mut self, resumed: &Resumed, lost: &[Partition]) -> Option<()> {
        let row = self.epochs.of(resumed.batch)?;
        let mine = lost.iter().filter(|p| row.owner(**p) == Some(self.id)).map(|p| p.0);
        let mut mine: Vec<u32> = mine.collect();
        mine.sort_unstable();
        let (epoch, plan) = (row.epoch, self.shape.plan);
        let at = self.table(resumed.batch)?;
        if self.tables[at].begun.is_none() {
            // It had no partition in this batch.
            let begun = (resumed.time, resumed.reach.clone().into());
            self.tables[at].begin(epoch, begun, Arc::default(), Vec::new());
            for row in plan.stages {
                let tasks = self.shape.tasks(row, resumed.batch, &resumed.inputs);
                self.tables[at].stages[row.id.index()].tasks = tasks;
            }
        }
        let table = &mut self.tables[at];
        table.add_inputs(resumed.ranges.clone());
        let mut part = table::Part::default();
        part.reset(&self.shape, self.recovered, mine.into(), false);
        for row in plan.stages {
            let wide = row.inputs.iter().filter(|input| input.dependency != Dependency::Narrow);
            let tasks =
                wide.flat_map(|input| input.from).map(|(s, _)| table.stages[s.index()].tasks);
            part.stages[row.id.index()].wide_missing = tasks.sum();
            let stage = &mut table.stages[row.id.index()];
            // What was said before the batch began here was for other partitions.
            part.mine.iter().for_each(|partition| stage.clear(*partition));
            for partition in part.mine.iter().filter(|partition| **partition < stage.tasks) {
                stage.phases[*partition as usize] = Phase::Idle;
            }
        }
        table.parts.push(part);
        Some(())
    }

    /// What an idle task makes is needed.
    pub(super) fn need(&mut self, at: usize, stage: StageId, partition: Partition) {
        let Some(table) = self.tables.get_mut(at) else { return };
        let index = table.part_of(partition.0);
        let part = &table.parts[index];
        let phase = table.stages[stage.index()].phases.get_mut(partition.index());
        let Some(phase) = phase.filter(|phase| **phase == Phase::Idle) else { return };
        let (row, batch) = (self.shape.plan.stage(stage), table.batch);
        let is_later = self.states.here(stage, partition).is_some_and(|here| here > batch)
            || self.saves.loads_after(stage, partition).is_some_and(|after| after >= batch);
        if is_later {
            // Its state is a later one: the worker that asks runs a task again that has been reported meanwhile.
            return;
        }
        // What is missed is counted before it is asked for.
        let state = self.states.misses(stage, partition, self.shape.state_before(row, batch));
        let wide = part.stages[stage.index()].wide_missing > 0;
        *phase = Phase::Waiting(u32::from(state) + u32::from(wide));
        let (mut narrow, mut asks) = (Vec::new(), false);
        for input in row.inputs {
            if input.dependency != Dependency::Narrow {
                asks |= wide && !part.is_told && !part.stages[stage.index()].asked;
                continue;
            }
            for (from, _) in input.from {
                let exists = partition.0 < table.stages[from.index()].tasks;
                if exists && !part.stages[from.index()].heard.contains(partition.index()) {
                    narrow.push(*from);
                }
            }
        }
        if let Phase::Waiting(missing) =
            &mut self.tables[at].stages[stage.index()].phases[partition.index()]
        {
            *missing += narrow.len() as u32;
        }
        for from in narrow {
            self.ask(at, TaskId { batch, stage: from, partition });
        }
        if asks {
            self.ask_all(at, stage, partition);
        }
        self.run_if_ready(at, stage, partition.0);
    }

    /// Asks for what all producers made for the part that a partition belongs to.
    fn ask_all(&mut self, at: usize, stage: StageId, partition: Partition) {
        let table = &mut self.tables[at];
        let index = table.part_of(partition.0);
        table.parts[index].stages[stage.index()].asked = true;
        for task in self.unheard(at, index, stage) {
            self.ask(at, task);
        }
    }

    /// The producers of shuffles and gathers into a stage that a part has not heard of.
    fn unheard(&self, at: usize, part: usize, stage: StageId) -> Vec<TaskId> {
        let table = &self.tables[at];
        let (batch, part) = (table.batch, &table.parts[part]);
        let inputs = self.shape.plan.stage(stage).inputs.iter();
        let wide = inputs.filter(|input| input.dependency != Dependency::Narrow);
        let mut unheard = Vec::new();
        for (from, _) in wide.flat_map(|input| input.from) {
            let heard = &part.stages[from.index()].heard;
            let tasks = 0..table.stages[from.index()].tasks;
            let tasks = tasks.filter(|partition| !heard.contains(*partition as usize));
            unheard.extend(tasks.map(|partition| TaskId {
                batch,
                stage: *from,
                partition: Partition(partition),
            }));
        }
        unheard
    }

    fn ask(&mut self, at: usize, task: TaskId) {
        match self.owner(task.batch, task.partition) {
            Some(owner) if owner == self.id => self.ask_here(at, task),
            Some(owner) => {
                self.wants.entry(owner).or_default().insert(task);
            }
            None => {}
        }
    }

    fn ask_here(&mut self, at: usize, task: TaskId) {
        let stage = &self.tables[at].stages[task.stage.index()];
        match stage.phases.get(task.partition.index()) {
            Some(Phase::Done) => {
                let made = stage.made.get(&task.partition.0).cloned().unwrap_or_default();
                self.produced(task, &made, ALWAYS);
            }
            Some(Phase::Idle) => self.need(at, task.stage, task.partition),
            Some(Phase::Dropped(_)) => self.run_after_all(at, task.stage, task.partition),
            _ => {}
        }
    }

    /// Asks the new owners for what the lost partitions' tasks made, wherever a task waits for it; and the owners
    /// of tasks that a lost worker may have run too, for those that have not heard of it.
    pub(super) fn ask_again(&mut self, at: usize, lost: &[Partition]) {
        for part in 0..self.tables[at].parts.len() {
            for row in self.shape.plan.stages {
                let table = &self.tables[at];
                let (of, stage) = (&table.parts[part], &table.stages[row.id.index()]);
                let known = &of.stages[row.id.index()];
                let waits =
                    |p: &u32| matches!(stage.phases.get(*p as usize), Some(Phase::Waiting(_)));
                if known.wide_missing == 0
                    || !(of.is_told || known.asked)
                    || !of.mine.iter().any(waits)
                {
                    continue;
                }
                let tasks = self.unheard(at, part, row.id).into_iter();
                let was_lost = |task: &TaskId| {
                    let reads = self.shape.plan.stage(task.stage).tasks;
                    lost.contains(&task.partition) || matches!(reads, Tasks::PerRange(_))
                };
                let tasks: Vec<_> = tasks.filter(was_lost).collect();
                for task in tasks {
                    self.ask(at, task);
                }
            }
        }
    }
}
