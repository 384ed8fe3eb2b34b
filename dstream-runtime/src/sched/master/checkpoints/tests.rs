//! When states are saved, what they may continue, and when their objects go.

use super::super::journal::{Durable, Journal};
use super::*;
use crate::id::{JournalSeq, SourceId};
use crate::plan::{Dependency, TailRow, Tasks};
use crate::sched::testplan::{plan, stage, word_count};

fn saved(stage: u16, partition: u32, after: u64) -> Saved {
    let (stage, partition) = (StageId(stage), Partition(partition));
    Saved { stage, partition, after: BatchSeq(after), objects: vec![format!("{after}")] }
}

fn to_save(stage: u16, partition: u32) -> ToSave {
    ToSave { stage: StageId(stage), partition: Partition(partition), continues: None }
}

#[test]
fn states_that_do_not_depend_on_each_other_are_saved_in_turn() {
    let shape = Shape::new(word_count(), 4);
    let mut checkpoints = Checkpoints::new(&shape, BatchSeq(1), 2);
    assert_eq!(checkpoints.base(), Some(BatchSeq(0)));
    assert_eq!(checkpoints.next(BatchSeq(1), false, 0).len(), 2);
    assert_eq!(checkpoints.next(BatchSeq(2), false, 0).len(), 2);
    assert_eq!(checkpoints.next(BatchSeq(3), true, 0), [], "two rounds are under way");
    assert!(checkpoints.saved(saved(1, 0, 1)) && !checkpoints.saved(saved(1, 0, 1)));
    assert!(checkpoints.saved(saved(1, 1, 1)));
    assert!(!checkpoints.saved(saved(1, 2, 1)), "another batch");
    assert!(checkpoints.saved(saved(1, 2, 2)) && checkpoints.saved(saved(1, 3, 2)));
    let counts = checkpoints.published(BatchSeq(1));
    assert_eq!(counts, [(0, vec![saved(1, 0, 1)]), (1, vec![saved(1, 1, 1)])]);
    assert_eq!(checkpoints.base(), Some(BatchSeq(0)), "two of them are not published");
    assert_eq!(checkpoints.of_partition(Partition(1)).next(), Some(&saved(1, 1, 1)));
    checkpoints.published(BatchSeq(2));
    assert_eq!(checkpoints.base(), Some(BatchSeq(0)), "it is not durable that they count");
    (0..4).for_each(|group| assert!(checkpoints.durable(&token(group)).is_empty()));
    assert_eq!(checkpoints.base(), Some(BatchSeq(1)));
}

fn token(group: usize) -> SavedToken {
    let mut journal = Journal::default();
    journal.saved(group);
    let Some(Durable::Saved(token)) = journal.synced(JournalSeq(1)) else { panic!("no token") };
    token
}

#[test]
fn a_base_goes_when_the_second_one_after_it_durably_counts() {
    let shape = Shape::new(word_count(), 1);
    let mut checkpoints = Checkpoints::new(&shape, BatchSeq(1), 1);
    let mut gone = Vec::new();
    for after in 1..=4 {
        assert_eq!(checkpoints.next(BatchSeq(after), false, 0).len(), 1);
        assert!(checkpoints.saved(saved(1, 0, after)));
        assert_eq!(checkpoints.published(BatchSeq(after)), [(0, vec![saved(1, 0, after)])]);
        assert_eq!(checkpoints.of_partition(Partition(0)).next(), Some(&saved(1, 0, after)));
        assert_eq!(checkpoints.base(), Some(BatchSeq(after - 1)));
        gone.push(checkpoints.durable(&token(0)));
        assert_eq!(checkpoints.base(), Some(BatchSeq(after)));
    }
    assert_eq!(gone, [vec![], vec![], vec!["1".to_owned()], vec!["2".to_owned()]]);
}

#[test]
fn states_in_a_chain_are_saved_together_and_what_is_lost_is_saved_again() {
    let chain = plan(
        1,
        vec![
            stage(Tasks::PerRange(SourceId(0))).tail(TailRow::Combine),
            stage(Tasks::PerPartition)
                .reads(Dependency::Shuffle, &[(0, 0)])
                .state()
                .tail(TailRow::Keep),
            stage(Tasks::PerPartition)
                .reads(Dependency::Narrow, &[(1, 0)])
                .state()
                .tail(TailRow::Combine),
        ],
    );
    let shape = Shape::new(chain, 2);
    let mut checkpoints = Checkpoints::new(&shape, BatchSeq(1), 2);
    let both = [to_save(1, 0), to_save(2, 0)];
    assert_eq!(checkpoints.next(BatchSeq(4), false, 0), both);
    assert!(!checkpoints.saved(saved(1, 0, 4)));
    assert_eq!(checkpoints.lost(&[Partition(0)]), ["4"]);
    assert!(!checkpoints.saved(saved(2, 0, 4)), "the other one was lost");
    assert_eq!(checkpoints.next(BatchSeq(4), true, 0).len(), 4);
    let anew = |stage| Saved { objects: vec![format!("anew {stage}")], ..saved(stage, 0, 4) };
    assert!(!checkpoints.saved(anew(2)));
    assert!(!checkpoints.saved(saved(1, 0, 4)), "what was given up is not there any more");
    assert!(checkpoints.saved(anew(1)));
    assert_eq!(checkpoints.lost(&[Partition(0), Partition(1)]), ["anew 1", "anew 2"]);
    assert_eq!(checkpoints.next(BatchSeq(5), true, 0).len(), 4);
    assert!(!checkpoints.saved(saved(1, 1, 5)));
    let gone = checkpoints.not_saved((StageId(2), Partition(1)), BatchSeq(5), 70);
    assert_eq!(gone, ["5"], "the other one is of no use alone");
    assert_eq!(checkpoints.next(BatchSeq(6), true, 69), []);
    assert_eq!(checkpoints.next(BatchSeq(6), true, 70).len(), 2);
}
/// A state of one partition, which is saved again and again.
struct One(Checkpoints);

impl One {
    fn new() -> Self {
        Self(Checkpoints::new(&Shape::new(word_count(), 1), BatchSeq(1), 1))
    }

    /// Has it saved: what it may continue.
    fn next(&mut self, after: u64) -> Option<String> {
        let mut to_save = self.0.next(BatchSeq(after), false, 0);
        to_save.pop().expect("its turn is always").continues
    }

    fn saved(&mut self, after: u64, objects: &[&str]) -> bool {
        let objects = objects.iter().map(|object| (*object).to_owned()).collect();
        self.0.saved(Saved { objects, ..saved(1, 0, after) })
    }

    /// It counts, durably: what goes.
    fn counts(&mut self, after: u64) -> Vec<String> {
        assert_eq!(self.0.published(BatchSeq(after)).len(), 1);
        self.0.durable(&token(0))
    }
}

#[test]
fn a_save_continues_the_last_but_one_and_objects_stay_while_something_has_them() {
    let mut one = One::new();
    for (after, name) in [(1, "a"), (2, "b")] {
        assert_eq!(one.next(after), None);
        assert!(one.saved(after, &[name]));
        assert!(one.counts(after).is_empty());
    }
    assert_eq!(one.next(3).as_deref(), Some("a"));
    assert!(!one.saved(3, &["b", "c"]), "the last one must not suffer from what spoils this one");
    assert!(!one.saved(3, &[]), "a state that was saved has an object");
    assert!(one.saved(3, &["a", "c"]));
    assert!(one.counts(3).is_empty(), "the first state is not kept any more, but its object is");
    assert_eq!(one.next(4).as_deref(), Some("b"));
    assert!(one.saved(4, &["d"]), "all of it, though it might have been less");
    assert_eq!(one.counts(4), ["b"]);
    assert_eq!(one.next(5).as_deref(), Some("c"));
    assert!(one.saved(5, &["e"]));
    assert_eq!(one.counts(5), ["a", "c"]);
}

#[test]
fn what_is_given_up_takes_nothing_with_it_that_is_kept() {
    let mut one = One::new();
    for (after, name) in [(1, "a"), (2, "b")] {
        one.next(after);
        assert!(one.saved(after, &[name]));
        one.counts(after);
    }
    one.next(3);
    assert!(one.saved(3, &["a", "c"]));
    assert_eq!(one.next(4).as_deref(), Some("b"));
    assert_eq!(one.0.lost(&[Partition(0)]), ["c"], "the state that counted before has the other");
    assert!(!one.saved(4, &["b", "d"]), "it was given up");
    assert_eq!(one.next(5).as_deref(), Some("a"));
    assert!(!one.saved(5, &["a", "c", "e"]), "it continues what was given up");
    assert!(one.saved(5, &["a", "f"]));
}

#[test]
fn what_a_job_ends_with_is_saved_twice_and_whole() {
    let mut one = One::new();
    for (after, name) in [(1, "a"), (2, "b")] {
        one.next(after);
        assert!(one.saved(after, &[name]));
        one.counts(after);
    }
    let last = |one: &mut One| one.0.last(BatchSeq(3), BatchSeq(3), 0);
    let unsaved = |one: &One| one.0.unsaved(BatchSeq(3), BatchSeq(3)).count();
    assert_eq!(one.0.last(BatchSeq(3), BatchSeq(1), 0), [], "both bases have all that was pushed");
    assert_eq!(last(&mut one), [to_save(1, 0)], "it continues nothing");
    assert_eq!((last(&mut one), unsaved(&one)), (vec![], 1), "that is under way");
    assert!(one.saved(3, &["c"]));
    assert_eq!(one.counts(3), ["a"]);
    assert_eq!((one.0.base(), one.0.spare()), (Some(BatchSeq(3)), Some(BatchSeq(2))));
    assert_eq!(last(&mut one), [to_save(1, 0)]);
    assert!(!one.saved(3, &["c"]), "said twice");
    assert_eq!(unsaved(&one), 1);
    assert!(one.saved(3, &["d"]));
    assert_eq!((last(&mut one), unsaved(&one)), (vec![], 0));
    assert_eq!(one.counts(3), ["b"]);
    assert_eq!(one.0.spare(), Some(BatchSeq(3)), "neither needs what was before");
    // A job that goes on has them as any other two.
    assert_eq!(one.next(4).as_deref(), Some("c"));
    assert!(one.saved(4, &["c", "e"]));
    assert!(one.counts(4).is_empty());
    assert_eq!(one.next(5).as_deref(), Some("d"));
}
