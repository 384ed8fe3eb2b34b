//! One wrong field of each kind, each an error at the field and no other.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use dstream::prelude::*;

#[derive(Record)]
struct Map {
    url: String,
    tags: HashMap<String, u64>,
}

#[derive(Record)]
struct Shared {
    url: Rc<String>,
    user: u64,
}

#[derive(Record)]
struct Wide {
    url: String,
    clicks: i128,
}

#[derive(Record)]
struct Borrowed {
    url: Option<&'static str>,
    user: u64,
}

#[derive(Record)]
struct Fixed {
    bytes: [u8; 4],
}

#[derive(Record)]
struct Dynamic {
    url: String,
    user: Box<dyn Send>,
}

#[derive(Record)]
struct File {
    path: PathBuf,
    maps: Vec<Map>,
    shared: Shared,
}

#[dstream::job]
fn job() {
    let maps = source::json::<Map>("file:maps");
    let shared = source::json::<Shared>("file:shared");
    let files = source::json::<File>("file:files");
    maps.filter(|map| map.tags.len() > 3).print();
    shared.map(|shared| (shared.url.len() as u64, shared.user)).print();
    files.window("3s").flat_map(|file| file.maps).print();
}

dstream::main!(job);
