#!/usr/bin/env bash
# Measures the compile time of a job: a project with one job (word_count) that depends on this repository is built
# from nothing, then after an edit of one closure, for several profiles. Prints wall and processor seconds, and the
# speed of the built job.
#
#   benches/compile_time.sh [PROFILE…]      debug, off, thin, fat (release with that `lto`)
#
# DATA=FILE also runs each release build on that file. KEEP=1 keeps the project and its `target`.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
[[ -n ${KEEP:-} ]] && echo "project: $work" || trap 'rm -rf "$work"' EXIT
export CARGO_INCREMENTAL=1
unset CARGO_TARGET_DIR

mkdir "$work/src"
cat >"$work/Cargo.toml" <<TOML
[package]
name = "job"
version = "0.1.0"
edition = "2024"

[dependencies]
dstream = { path = "$here" }

[profile.dev]
debug = "line-tables-only"

[workspace]
TOML
cp "$here/Cargo.lock" "$work/Cargo.lock"

# Another closure each time, so that no build finds its result in a cache.
edit=0
write_job() {
    edit=$((edit + 1))
    cat >"$work/src/main.rs" <<RUST
use dstream::prelude::*;

#[dstream::job(interval = "1s")]
fn word_count() {
    let lines = source::text("generate://words?records=1000000");
    let ones = lines.flat_map(|line| words(line)).map(|word| (word, ${edit}u64));
    let counts = ones.reduce_by_key(|a, b| a + b);
    counts.save("none:");
}

dstream::main!(word_count);
RUST
}

# measure WHAT COMMAND…: wall and processor seconds.
measure() {
    local what=$1
    shift
    TIMEFORMAT="%R %U %S"
    local times
    times=$({ time "$@" >"$work/log" 2>&1; } 2>&1) || { cat "$work/log" >&2; exit 1; }
    awk -v what="$what" '{ printf "%-34s %7.1f s   processor %7.1f s\n", what, $1, $2 + $3 }' <<<"$times"
}

build() {
    local profile=$1
    shift
    if [[ $profile == debug ]]; then
        cargo build --manifest-path "$work/Cargo.toml" --target-dir "$work/$profile" "$@"
    else
        CARGO_PROFILE_RELEASE_LTO=$profile \
            CARGO_PROFILE_RELEASE_CODEGEN_UNITS=$([[ $profile == fat ]] && echo 1 || echo 16) \
            cargo build --manifest-path "$work/Cargo.toml" --target-dir "$work/$profile" --release "$@"
    fi
}

for profile in "${@:-debug off thin fat}"; do
    for profile in $profile; do
        write_job
        measure "$profile: from nothing" build "$profile"
        for _ in 1 2; do
            write_job
            measure "$profile: after an edit of a closure" build "$profile"
        done
        write_job
        measure "$profile: check after an edit" cargo check \
            --manifest-path "$work/Cargo.toml" --target-dir "$work/check"
        if [[ $profile != debug && -n ${DATA:-} ]]; then
            for _ in 1 2 3; do
                "$work/$profile/release/job" --summary json --cores 1 \
                    --source "lines=file://$DATA?batch_records=1000000" 2>/dev/null |
                    grep -o '"records_per_second":[0-9]*'
            done
        fi
    done
done
