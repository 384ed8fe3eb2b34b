//! Jobs as items: their places, attributes and names.

use dstream::testing::Run;

use crate::{Tested, first};

mod reports {
    pub(crate) mod daily {
        /// Lines per day, with documentation,
        ///
        /// in two paragraphs.
        #[dstream::job(interval = "2min")]
        #[cfg(not(any()))]
        #[allow(clippy::redundant_closure)]
        pub(crate) fn lines_of_the_day() {
            let lines = source::text("none");
            let total = lines.count();
            total.save("none:");
        }
    }

    /// Never compiled.
    #[cfg(any())]
    #[dstream::job]
    pub(crate) fn never() {
        let lines = source::text("none");
        lines.nothing_of_the_kind();
    }
}

/// One binary of two jobs, one of them in a module.
#[allow(dead_code)]
mod binary {
    use super::reports::daily;

    #[dstream::job(interval = "1s")]
    fn echo() {
        let echo = source::text("none");
        echo.print();
    }

    dstream::main!(echo, daily::lines_of_the_day);
}

#[test]
fn a_job_in_a_module() -> Tested {
    let run = Run::new(reports::daily::lines_of_the_day);
    let done = run.input("lines", [vec!["a", "b"]]).run()?;
    assert_eq!(first::<u64>(&done, "total")?, [2]);
    Ok(())
}

struct Jobs;

impl Jobs {
    #[dstream::job]
    fn of_a_type() {
        let lines = source::text("none");
        lines.save("none:");
    }
}

#[test]
fn a_job_of_a_type() -> Tested {
    let done = Run::new(Jobs::of_a_type).input("lines", [vec!["b", "a"]]).run()?;
    assert_eq!(first::<String>(&done, "lines")?, ["a", "b"]);
    Ok(())
}

/// The names of generated code, used by the user.
#[dstream::job]
fn slot_0_0() {
    let out = 1u64;
    let next = 2u64;
    let acc = 3u64;
    let lines = source::text("none");
    let key = lines.map(|x| (x, out + next));
    let head = key.reduce_by_key(|acc, next| acc + next + out);
    let r#final = head.map(|(record, score)| (record, score * acc));
    let slot_0_0 = r#final.filter(|(many, _)| !many.is_empty());
    slot_0_0.save("none:");
}

#[test]
fn names_do_not_clash() -> Tested {
    let done = Run::new(slot_0_0).input("lines", [vec!["a", "a", "", "b"]]).run()?;
    assert_eq!(
        first::<(String, u64)>(&done, "slot_0_0")?,
        [("a".to_owned(), 21), ("b".to_owned(), 9)]
    );
    Ok(())
}

#[dstream::job]
fn stamped() {
    let lines = source::text("none");
    #[allow_nondeterminism = "only how long it took is logged, and not part of the result"]
    let timed =
        lines.filter(|line| std::time::Instant::now().elapsed().as_secs() < 900 || line.is_empty());
    let also = timed.map(
        #[allow_nondeterminism = "the process is the same for the whole run of a test"]
        |line| (line, std::process::id() > 0),
    );
    also.save("none:");
}

#[test]
fn nondeterminism_can_be_allowed() -> Tested {
    let done = Run::new(stamped).input("lines", [vec!["a"]]).run()?;
    assert_eq!(first::<(String, bool)>(&done, "also")?, [("a".to_owned(), true)]);
    Ok(())
}
