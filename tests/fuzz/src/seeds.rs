//! Writes what fuzzing begins with: `corpus/TARGET/seed-N` for each target of the runtime, and the programs
//! of this repository for the compiler.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for target in dstream_runtime::fuzzing::targets() {
        let folder = here.join("corpus").join(target.name);
        fs::create_dir_all(&folder)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    let folder = here.join("corpus/compiler");
    fs::create_dir_all(&folder)?;
    let (mut folders, mut number) = (vec![here.join("../ui"), here.join("../../examples")], 0);
    while let Some(from) = folders.pop() {
        for entry in fs::read_dir(from)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                fs::copy(&path, folder.join(format!("seed-{number}")))?;
                number += 1;
            }
        }
    }
    Ok(())
}
