#!/usr/bin/env bash
# How long a newcomer waits: `bash benches/builds.sh` on a machine that does nothing else. It builds in a folder of its own
# and removes it. Each line has the seconds that pass and those that processors work.
#
#   first      a fresh clone to the first result: `cargo run --release --example digits`
#   fresh      a fresh crate with the recommended profile: `cargo run` in a copy of examples/template
#   edit       the same after an edit of its net
#   again      the same without an edit: what it trains
#   library    the library alone, in release, when its dependencies are built
#   ops        the same after an edit in src/ops
#   kernel     the same after an edit in src/kernel
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_TERM_PROGRESS_WHEN=never
TIMEFORMAT='%R s, %U + %S s of processors'

say() { # name, command …
    local name=$1
    shift
    printf '%-10s ' "$name"
    # `time` writes behind what the command says, which is left out.
    { time "$@" >"$work/log" 2>&1; } 2>&1 || { cat "$work/log"; exit 1; }
}

export CARGO_TARGET_DIR=$work/clone
say first cargo run --release --example digits
cargo clean --release -p ansatz -p ansatz-kernel 2>/dev/null
say library cargo build --release
touch src/ops/mod.rs && say ops cargo build --release
touch src/kernel/mod.rs && say kernel cargo build --release
rm -rf "$work/clone"

export CARGO_TARGET_DIR=$work/user
cp -r examples/template "$work/my-net"
sed -i "s#\"../..\"#\"$root\"#" "$work/my-net/Cargo.toml"
cd "$work/my-net"
say fresh cargo run
sed -i 's/linear(128)/linear(96)/' src/main.rs && say edit cargo run
say again cargo run
