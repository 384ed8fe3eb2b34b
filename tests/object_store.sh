#!/usr/bin/env bash
# Kills a job whose journal and states are in an object store, starts it again, and compares what it published with a
# run without faults. The store is moto, an independent implementation of S3 from PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
children=()
cleanup() {
    for child in "${children[@]}"; do kill -9 "$child" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap cleanup EXIT

cargo build --quiet --features object-store --example word_count
cp target/debug/examples/word_count "$dir/job"
python3 -m venv "$dir/moto"
"$dir/moto/bin/pip" install --quiet 'moto[server,s3]'
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$dir/moto/bin/moto_server" -H 127.0.0.1 -p "$port" >"$dir/moto.log" 2>&1 &
children+=($!)
# The authority of a cluster on one machine is where the job is started.
cd "$dir"
export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_ALLOW_HTTP=true AWS_REGION=us-east-1
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
signed="AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=none"
curl --silent --fail --retry 60 --retry-delay 1 --retry-connrefused \
    --request PUT --header "Authorization: $signed" "$AWS_ENDPOINT_URL/jobs" >/dev/null

job() {
    "$dir/job" --source "lines=generate://words?records=40000&batch_records=500&rate=2000" \
        --sink windowed=none: --sink "counts=csv+file://$1" "${@:2}"
}
cluster=(--role local --workers 2 --state s3://jobs/words --checkpoint 500ms)
job "$dir/expected" 2>"$dir/expected.log"

job "$dir/out" "${cluster[@]}" 2>"$dir/first.log" &
children+=($!)
# Until some states are safe and results are there.
until [ "$(ls "$dir/out" 2>/dev/null | wc -l)" -ge 20 ]; do
    kill -0 "${children[-1]}" || { cat "$dir/first.log" >&2; exit 1; }
    sleep 0.2
done
pkill -9 -f "^$dir/job"
job "$dir/out" "${cluster[@]}" 2>"$dir/second.log" || { cat "$dir/second.log" >&2; exit 1; }
grep "goes on with batch" "$dir/second.log"

contents() { (cd "$1" && find . -name '*.csv' -print0 | sort -z | xargs -0 sha256sum); }
diff <(contents "$dir/expected") <(contents "$dir/out")
echo "$(contents "$dir/out" | wc -l) files are the same"
