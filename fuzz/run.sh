#!/bin/bash
# Fuzzes every target for the given number of seconds; the last one, `http`, which has most to look at, six times as long.
# What is found to be worth keeping goes to target/fuzz-corpus, what breaks a property to fuzz/artifacts.
set -euo pipefail
seconds=${1:?"how many seconds for each target?"}
cd "$(dirname "$0")/.."
# Optimising across crates costs more than it gives here.
export CARGO_PROFILE_RELEASE_LTO=off
for target in access_token connection device_token forwarded password_hash refresh_token session_record http; do
  if [ "$target" = http ]; then seconds=$((seconds * 6)); fi
  options=("-max_total_time=$seconds" -max_len=4096 -timeout=10)
  if [ -f "fuzz/dictionaries/$target" ]; then options+=("-dict=fuzz/dictionaries/$target"); fi
  found=target/fuzz-corpus/$target
  log=target/fuzz-corpus/$target.log
  mkdir -p "$found"
  # Without a sanitizer the stable compiler will do, and the code has no unsafe block for one to look into.
  if ! cargo fuzz run -s none --features libfuzzer "$target" "$found" "fuzz/corpus/$target" -- "${options[@]}" \
    >"$log" 2>&1; then
    tail -n 60 "$log" >&2
    exit 1
  fi
  echo "$target, $seconds s: $(grep -E '^#[0-9]+\s+DONE' "$log")"
done
