#!/usr/bin/env bash
# Runs the tests of the modules with unsafe code under Miri, on the nightly toolchain that is installed:
# blocks and their decoders, tables, the lines of text, short texts, keys. Miri runs neither maps of files nor sockets,
# so their modules are left out.
# `tests/miri.sh FILTER...` runs other tests.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo "Miri is not installed: rustup toolchain install nightly --component miri,rust-src" >&2
    exit 1
fi
if [ $# -eq 0 ]; then
    set -- block:: exec::table:: source::decode:: record::key:: record::short:: text::tests \
        fuzzing::tests::blocks fuzzing::tests::decoders
fi
# Relative pointers lead out of the reference that they are read through, which the older model of aliasing
# (stacked borrows) does not know and rkyv does not promise to follow; so the newer one. Seeds need the clock.
export MIRIFLAGS="${MIRIFLAGS:--Zmiri-tree-borrows -Zmiri-disable-isolation}"
# Texts made of patterns, and statistics, take minutes each there; the seeds of the fuzz target go through the same decoders.
cargo +nightly miri test -p dstream-runtime --lib -- --skip come_back --skip text_of_all_kinds --skip avalanche "$@"
