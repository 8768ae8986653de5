#!/bin/sh
# Runs a matrix as one array of jobs: each of DEVICES in each of MODES on each of KERNELS, in SHARDS parts each. Submits lost shards
# again, and merges the reports of each cell. DEVICES are words for `--device` (without: the nodes' VFIO_SELFTESTS_BDF), MODES for
# `--mode` (without: all), and KERNELS are images that boot in the lab's VM (without: the nodes' own kernels). RESULTS is a folder that
# all nodes share. The merged reports are RESULTS/DEVICE,MODE,KERNEL/merged.json, of what was given, or RESULTS/merged.json.
# Usage: run-array.sh [OPTION OF run]…
# Exit status: that of the worst cell (0 passed, 1 a failed or missing test, 4 nothing ran in any).
set -u
: "${RESULTS:?name a folder that all nodes share}" "${SHARDS:=8}" "${TRIES:=3}"
: "${DEVICES:=}" "${MODES:=}" "${KERNELS:=}"
export RESULTS SHARDS
here=$(dirname "$0")
mkdir -p "$RESULTS"

# An axis without a value has one place, which gives no option: `-`.
cells() {
  for device in ${DEVICES:--}; do for mode in ${MODES:--}; do for kernel in ${KERNELS:--}; do
    cell=
    command=run
    [ "$kernel" = - ] || command="lab run --kernel $kernel"
    [ "$device" = - ] || { cell=$cell,$device; command="$command --device $device"; }
    [ "$mode" = - ] || { cell=$cell,$mode; command="$command --mode $mode"; }
    [ "$kernel" = - ] || cell=$cell,$kernel
    cell=$(echo "${cell#,}" | tr / _)
    echo "${cell:-.} $command"
  done; done; done
}

# The array's index is the number of a line: shard.sh reads there what to run.
cells | while read -r cell command; do
  mkdir -p "$RESULTS/$cell"
  for shard in $(seq "$SHARDS"); do echo "$cell $shard $command"; done
done >"$RESULTS/matrix"

# The indices without a report, as --array takes them: 3,7
lost() {
  index=0
  while read -r cell shard _; do
    index=$((index + 1))
    [ -e "$RESULTS/$cell/shard-$shard.json" ] || echo "$index"
  done <"$RESULTS/matrix" | paste -sd,
}

while [ "$TRIES" -gt 0 ] && indices=$(lost) && [ -n "$indices" ]; do
  echo "submitting $indices of $(wc -l <"$RESULTS/matrix")"
  # With --wait, sbatch ends with the array. Its status says only that some job failed; the merged report says which test.
  sbatch --wait --array="$indices" --chdir="$RESULTS" --output="$RESULTS/job-%a.log" "$here/shard.sh" "$@"
  TRIES=$((TRIES - 1))
done

worst=4
for cell in $(cut -d ' ' -f 1 "$RESULTS/matrix" | uniq); do
  [ "$cell" = . ] || echo "$cell:"
  vfio-selftests report merge --output "$RESULTS/$cell/merged.json" "$RESULTS/$cell"/shard-*.json
  status=$?
  # 4 is less than 0, and that less than a failure.
  case $status in
    4) ;;
    0) [ "$worst" = 4 ] && worst=0 ;;
    *) [ "$worst" = 1 ] || worst=$status ;;
  esac
done
exit "$worst"
