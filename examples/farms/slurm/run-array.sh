#!/bin/sh
# Runs the suites as an array of SHARDS jobs, submits lost shards again, and merges the reports into merged.json. RESULTS is a folder
# that all nodes share. Usage: run-array.sh [OPTION OF run]…
# Exit status: that of the whole run (0 passed, 1 a failed or missing test, 4 nothing ran).
set -u
: "${RESULTS:?name a folder that all nodes share}" "${SHARDS:=8}" "${TRIES:=3}"
export RESULTS SHARDS
here=$(dirname "$0")
mkdir -p "$RESULTS"

# The shards without a report, as --array takes them: 3,7
lost() {
  for index in $(seq "$SHARDS"); do [ -e "$RESULTS/shard-$index.json" ] || echo "$index"; done | paste -sd,
}

while [ "$TRIES" -gt 0 ] && shards=$(lost) && [ -n "$shards" ]; do
  echo "submitting shards $shards"
  # With --wait, sbatch ends with the array. Its status says only that some job failed; the merged report says which test.
  sbatch --wait --array="$shards" --chdir="$RESULTS" --output="$RESULTS/shard-%a.log" "$here/shard.sh" "$@"
  TRIES=$((TRIES - 1))
done
vfio-selftests report merge --output "$RESULTS/merged.json" "$RESULTS"/shard-*.json
