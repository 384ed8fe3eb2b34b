//! Derived records: as input, as keys, in state and in outputs.

use dstream::prelude::*;
use dstream::testing::Run;

use crate::{Tested, every};

/// Where something is.
#[derive(Record, Debug, Clone, PartialEq)]
struct Place {
    city: String,
    zone: Option<u8>,
}

/// More fields than the largest tuple.
#[derive(Record, Debug, Clone, PartialEq)]
struct Wide {
    id: u64,
    place: Place,
    tags: Vec<String>,
    ratio: f64,
    small: i8,
    letter: char,
    flag: bool,
    #[record(rename = "type")]
    kind: String,
    ninth: u16,
    last: Option<String>,
}

fn wide(id: u64, city: &str, zone: Option<u8>) -> Wide {
    Wide {
        id,
        place: Place { city: city.to_owned(), zone },
        tags: (0..id % 4).map(|i| format!("tag \"{i}\"")).collect(),
        ratio: id as f64 / 7.0,
        small: -(id as i8),
        letter: 'é',
        flag: id.is_multiple_of(2),
        kind: "k,\n".repeat((id % 3) as usize),
        ninth: 9,
        last: (id > 2).then(|| "x".repeat(40)),
    }
}

#[dstream::job]
fn wides() {
    let wide = source::json::<Wide>("none");
    let same = wide.map(|w| w);
    let kept = wide.window("2s", "1s");
    let by_place = wide.map(|w| (w.place, w.id)).reduce_by_key(|a, b| a + b);
    let latest = wide.key_by(|w| w.kind.len() as u32).running_reduce(|_, new| new);
    let tags = wide.flat_map(|w| w.tags).map(|tag| (tag, 1u32)).reduce_by_key(|a, b| a + b);
    let made = wide.map(|w| Place { city: w.place.city.to_uppercase(), zone: None });
    same.save("none:");
    kept.save("none:");
    by_place.save("none:");
    latest.save("none:");
    tags.save("none:");
    made.save("none:");
}

#[test]
fn derived_records_go_everywhere() -> Tested {
    let batches = [
        vec![wide(1, "ulm", Some(3)), wide(2, "ulm", None), wide(3, "ulm", Some(3))],
        vec![wide(7, "bonn", None)],
    ];
    every(|partitions| {
        let run = Run::new(wides).input("wide", batches.clone()).partitions(partitions);
        let done = run.restart_after(1).run()?;
        assert_eq!(done.sorted::<Wide>("same", 1)?, batches[0]);
        assert_eq!(done.sorted::<Wide>("kept", 2)?, batches.concat());
        let place = |city: &str, zone| Place { city: city.to_owned(), zone };
        assert_eq!(
            done.sorted::<(Place, u64)>("by_place", 1)?,
            [(place("ulm", None), 2), (place("ulm", Some(3)), 4)]
        );
        assert_eq!(
            done.sorted::<(u32, Wide)>("latest", 2)?,
            [(3, wide(7, "bonn", None))],
            "only the key that the batch touched"
        );
        let tag = |i| format!("tag \"{i}\"");
        assert_eq!(
            done.sorted::<(String, u32)>("tags", 1)?,
            [(tag(0), 3), (tag(1), 2), (tag(2), 1)]
        );
        assert_eq!(done.records::<Place>("made", 2)?, [place("BONN", None)]);
        Ok(())
    })
}

#[dstream::job]
fn rows() {
    let rows = source::csv::<(String, i64, Option<f32>)>("none");
    let same = rows.filter(|(name, ..)| name != "skip");
    same.save("none:");
}

#[test]
fn tuples_are_rows_of_csv_in_the_order_of_their_columns() -> Tested {
    let row = |name: &str, n, f| (name.to_owned(), n, f);
    let input = vec![row("a", -1, None), row("skip", 0, None), row("c,\"d\"", 2, Some(0.5))];
    every(|partitions| {
        let run = Run::new(rows).input("rows", [input.clone()]).partitions(partitions);
        let mut expected = input.clone();
        expected.remove(1);
        assert_eq!(run.run()?.sorted::<(String, i64, Option<f32>)>("same", 1)?, expected);
        Ok(())
    })
}
