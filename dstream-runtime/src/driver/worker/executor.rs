//! Executor threads: a fixed number of them, one queue.
//!
//! Tasks of older batches go first. A thread that runs out of work looks for more for a moment before
//! it sleeps, one thread at a time, so that the tasks of a small batch find a thread awake and an
//! idle job uses no processor; tasks that are added wake only as many threads as there are tasks for.

use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::task::Work;
use crate::host::InFlightJobs;
use crate::id::{Attempt, TaskId};

/// How long a thread that ran out of work looks for more: about as long as it takes to wake one.
const LOOK: Duration = Duration::from_micros(25);

/// The queue that executor threads take tasks from.
#[derive(Default)]
pub(in crate::driver) struct Queue {
    tasks: Mutex<Tasks>,
    more: Condvar,
    /// Number of tasks in the queue, to be seen without the lock.
    waiting: AtomicUsize,
    /// Some thread is looking for work without sleeping.
    looking: AtomicBool,
    in_flight: InFlightJobs,
}

#[derive(Default)]
struct Tasks {
    queue: BinaryHeap<Queued>,
    /// Threads asleep that no thread is waking. The thread that wakes one counts it off; a thread that woke by
    /// itself is counted twice, which costs a futile wake-up and nothing else: it looks into the queue before it
    /// sleeps again.
    sleeping: usize,
    closed: bool,
}

/// A task; the oldest is the greatest.
struct Queued(Work);

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.0.task == other.0.task
    }
}
impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.0.task.cmp(&self.0.task)
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds tasks.
    pub(super) fn push(&self, works: &mut Vec<Work>) {
        if works.is_empty() {
            return;
        }
        let added = works.len();
        self.in_flight.begin(added);
        let mut tasks = self.lock();
        tasks.queue.extend(works.drain(..).map(Queued));
        self.waiting.store(tasks.queue.len(), Ordering::Release);
        let awake = usize::from(self.looking.load(Ordering::Acquire));
        let wake = tasks.sleeping.min(added.saturating_sub(awake));
        tasks.sleeping -= wake;
        drop(tasks);
        for _ in 0..wake {
            self.more.notify_one();
        }
    }

    /// Takes a task out that no thread has taken. Returns whether it was there.
    pub(super) fn remove(&self, task: TaskId, attempt: Attempt) -> bool {
        let mut tasks = self.lock();
        let before = tasks.queue.len();
        tasks.queue.retain(|Queued(work)| (work.task, work.attempt) != (task, attempt));
        self.waiting.store(tasks.queue.len(), Ordering::Release);
        let removed = before - tasks.queue.len();
        self.in_flight.end(removed);
        removed > 0
    }

    /// Forgets the tasks that no thread has taken, and lets threads that find none end.
    pub(in crate::driver) fn close(&self) {
        let mut tasks = self.lock();
        tasks.closed = true;
        self.in_flight.yield_turn();
        self.in_flight.end(tasks.queue.len());
        tasks.queue.clear();
        self.waiting.store(0, Ordering::Release);
        drop(tasks);
        self.more.notify_all();
    }

    /// A task that was taken has run, and what came of it was told.
    pub(in crate::driver) fn done(&self) {
        self.in_flight.end(1);
    }

    /// The next task; waits for one. Nothing once the queue is closed.
    pub(in crate::driver) fn take(&self) -> Option<Work> {
        loop {
            self.in_flight.wait_for_turn();
            if self.waiting.load(Ordering::Acquire) == 0 {
                self.look();
            }
            let mut tasks = self.lock();
            if let Some(Queued(work)) = tasks.queue.pop() {
                self.waiting.store(tasks.queue.len(), Ordering::Release);
                // Two pushes may have counted on the same thread that was looking: pass it on.
                let wake = !tasks.queue.is_empty() && tasks.sleeping > 0;
                tasks.sleeping -= usize::from(wake);
                drop(tasks);
                if wake {
                    self.more.notify_one();
                }
                return Some(work);
            }
            if tasks.closed {
                return None;
            }
            tasks.sleeping += 1;
            drop(self.more.wait(tasks).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Looks for work for a moment, unless another thread does.
    fn look(&self) {
        if self.looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let until = Instant::now() + LOOK;
        while self.waiting.load(Ordering::Acquire) == 0 && Instant::now() < until {
            std::hint::spin_loop();
        }
        // Under the lock, so that a push either sees that no thread looks or leaves work that the looking thread
        // finds before it sleeps.
        let _tasks = self.lock();
        self.looking.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{BatchSeq, Partition, StageId};
    use crate::time::BatchTime;

    fn work(batch: u64, stage: u16, partition: u32) -> Work {
        Work {
            task: TaskId {
                batch: BatchSeq(batch),
                stage: StageId(stage),
                partition: Partition(partition),
            },
            attempt: Attempt(0),
            time: BatchTime(0),
            reach: Vec::new().into(),
            emits: true,
            inputs: Vec::new(),
            source: None,
            state: None,
        }
    }

    #[test]
    fn older_batches_go_first() {
        let queue = Queue::default();
        queue.push(&mut vec![work(2, 0, 0), work(1, 1, 0), work(1, 0, 1), work(1, 0, 0)]);
        let order: Vec<_> = (0..4)
            .filter_map(|_| queue.take())
            .map(|work| (work.task.batch.0, work.task.stage.0, work.task.partition.0))
            .collect();
        assert_eq!(order, [(1, 0, 0), (1, 0, 1), (1, 1, 0), (2, 0, 0)]);
    }

    #[test]
    fn a_task_that_no_thread_has_taken_can_be_taken_out() {
        let queue = Queue::default();
        queue.push(&mut vec![work(1, 0, 0), work(1, 0, 1), work(1, 0, 2)]);
        let second = work(1, 0, 1).task;
        assert!(!queue.remove(second, Attempt(7)), "another run of it");
        assert!(queue.remove(second, Attempt(0)) && !queue.remove(second, Attempt(0)));
        let left: Vec<_> =
            (0..2).filter_map(|_| queue.take()).map(|work| work.task.partition.0).collect();
        assert_eq!(left, [0, 2]);
    }

    #[test]
    fn a_closed_queue_gives_nothing() {
        let queue = Queue::default();
        queue.push(&mut vec![work(1, 0, 0)]);
        queue.close();
        assert!(queue.take().is_none());
        assert!(queue.take().is_none());
    }

    #[test]
    fn every_task_is_taken_once_however_threads_sleep_and_wake() {
        const TASKS: u64 = 3_000;
        for threads in [1, 2, 5] {
            let queue = Queue::default();
            let (done, results) = crossbeam_channel::unbounded();
            let mut seen = Vec::new();
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    let (queue, done) = (&queue, done.clone());
                    scope.spawn(move || {
                        while let Some(work) = queue.take() {
                            done.send(work.task.batch.0).expect("the test still listens");
                        }
                    });
                }
                // One, two, three … at a time; threads run dry between, now and then.
                let (mut next, mut size) = (0, 1);
                while next < TASKS {
                    let end = (next + size).min(TASKS);
                    queue.push(&mut (next..end).map(|batch| work(batch, 0, 0)).collect());
                    if size % 3 == 0 {
                        seen.extend((seen.len() as u64..end).filter_map(|_| results.recv().ok()));
                    }
                    (next, size) = (end, size % 7 + 1);
                }
                seen.extend((seen.len() as u64..TASKS).filter_map(|_| results.recv().ok()));
                queue.close();
            });
            seen.sort_unstable();
            assert_eq!(seen, (0..TASKS).collect::<Vec<_>>());
        }
    }
}
