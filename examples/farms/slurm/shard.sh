#!/bin/sh
#SBATCH --job-name=vfio-selftests
#SBATCH --ntasks=1
#SBATCH --gres=vfio:1
#SBATCH --time=01:00:00
#SBATCH --no-requeue
# Runs one shard: the line of $RESULTS/matrix that the array's index names, which run-array.sh wrote. RESULTS is a folder that all nodes
# share. Words after the script's name go to the command; the devices can also be in VFIO_SELFTESTS_BDF of each node.
# The line: the folder of its reports, the shard, and the command.
line=$(sed -n "${SLURM_ARRAY_TASK_ID}p" "$RESULTS/matrix")
cell=${line%% *}
line=${line#* }
shard=${line%% *}
command=${line#* }
report=$RESULTS/$cell/shard-$shard.json
# No word of the command holds a space.
# shellcheck disable=SC2086
vfio-selftests $command "$@" --shard "$shard/$SHARDS" --reporter json --output "$report.part"
status=$?
# The report gets its name when it is whole: a node may die at any time.
[ -s "$report.part" ] && mv "$report.part" "$report"
# Exit status 4: every test was skipped, or the shard is empty. That is no failed job.
[ "$status" = 4 ] && status=0
exit "$status"
