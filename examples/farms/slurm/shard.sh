#!/bin/sh
#SBATCH --job-name=vfio-selftests
#SBATCH --ntasks=1
#SBATCH --gres=vfio:1
#SBATCH --time=01:00:00
#SBATCH --no-requeue
# Runs one shard: the array's index, of SHARDS. RESULTS is a folder that all nodes share. Words after the script's name go to
# `vfio-selftests run`; the devices can also be in VFIO_SELFTESTS_BDF of each node.
report=$RESULTS/shard-$SLURM_ARRAY_TASK_ID.json
vfio-selftests run "$@" --shard "$SLURM_ARRAY_TASK_ID/$SHARDS" --reporter json --output "$report.part"
status=$?
# The report gets its name when it is whole: a node may die at any time.
[ -s "$report.part" ] && mv "$report.part" "$report"
# Exit status 4: every test was skipped, or the shard is empty. That is no failed job.
[ "$status" = 4 ] && status=0
exit "$status"
