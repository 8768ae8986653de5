#!/bin/sh
# First process of the lab's guest. The kernel starts it from the host's file tree, with LAB_RUN in its environment: the
# folder on the host that holds `plan.sh` (shell variables and functions) and `command.sh` (what to run). A guest with
# another CPU has a tree of its own, which is handled like the host's, and LAB_RUN is where it has mounted that folder.
# Everything here is POSIX shell and the userland of any distribution, because that is what the host offers.
#
# The tree is shared read-only. Init lays a file system of the guest's own over it, where the kernel has one (overlayfs),
# and mounts the host's folders that the guest may write to. It checks each mount before it goes on.
#
# The host and init talk through virtio-serial ports, which init finds by name:
#   lab.control  guest to host: "ready", "alive" (every ten seconds), "failed <why>", "jump", "exit <status>"; host to guest: "signal <name>", "size <rows> <columns>", "off"
#   lab.monitor  guest to host: requests to QEMU (src/guest/monitor-door.ts), where the machine has a device for them
#   lab.stdin    the command's standard input, when the plan asks for it
#   lab.stdout, lab.stderr   the command's output; each ends with the plan's end mark, so that the host knows it has all
#
# A plan may have a second stage: another kernel and the command to run on it. Then the first command's success makes init
# say "jump" and let the kernel jump there (kexec). That kernel starts init anew, with LAB_STAGE=2 in its environment, and
# the same ports go on.

# The last folder is NixOS's, by a path that does not lead through /run, which is the guest's own.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/nix/var/nix/profiles/system/sw/bin

control_reader=
alive=

power_off() {
  sync
  echo "$1" >&3
  # The host says "off" once it has all of the output, and later ends the VM if need be. The shell waits by itself: a
    # program would come from the host's file server, which may end before the VM does.
  [ -z "$control_reader" ] || kill "$control_reader" $alive
  while read -r word <&3; do
    [ "$word" != off ] || echo o >/proc/sysrq-trigger
  done
  echo o >/proc/sysrq-trigger
  while :; do :; done
}

fail() {
  # Standard error is the kernel's console.
  echo "lab: $1" >&2
  [ -z "$control" ] || power_off "failed $1"
  # Without a control port init ends. Then the kernel panics, QEMU ends, and the host finds the line above.
  exit 1
}

# Every mount uses -n. Without it, mount keeps books in /run, and fails where it cannot.

# Whether the topmost mount at a folder is of this type. The kernel lists mounts in their order.
is_mounted() {
  found=""
  while read -r _ folder type _; do
    if [ "$folder" = "$2" ]; then found=$type; fi
  done </proc/mounts
  [ "$found" = "$1" ]
}

# mount_own TYPE OPTIONS FOLDER: mounts a file system of the guest's own, without which init must not go on.
mount_own() {
  [ -d "$3" ] || mkdir -p "$3"
  mount -n -t "$1" -o "$2" "$1" "$3"
  is_mounted "$1" "$3" || fail "the guest has no $1 at $3: its kernel cannot mount it"
}

# mount_optional does the same for one that tests may find missing, inside a file system of the guest's own.
mount_optional() {
  [ -d "$3" ] || mkdir -p "$3" || return
  mount -n -t "$1" -o "$2" "$1" "$3"
}

mount_share() {
  [ -d "$2" ] || mkdir -p "$2" || fail "the guest cannot make a folder at $2: its kernel has no overlayfs"
  mount -n -t virtiofs "$1" "$2" || fail "the guest cannot mount the host's $2"
}

control=""
mount -n -t proc proc /proc
# From here on init can read /proc/mounts, if this is proc (PROC_SUPER_MAGIC) and not the host's folder.
[ "$(stat -f -c %t /proc)" = 9fa0 ] || fail "the guest has no proc at /proc: its kernel cannot mount it"
mount_own sysfs rw /sys
# The kernel mounts devtmpfs by itself, unless a parameter forbids it (devtmpfs.mount=0).
is_mounted devtmpfs /dev || mount_own devtmpfs mode=755 /dev
# Shared anonymous memory takes 2 MiB pages where it can, because each page is a message to a vfio-user device.
shared_memory=/sys/kernel/mm/transparent_hugepage/shmem_enabled
[ ! -e $shared_memory ] || echo always >$shared_memory

# /tmp or /run may hold the run's folder, and init is about to cover both.
mkdir /dev/lab
cp "$LAB_RUN/plan.sh" "$LAB_RUN/command.sh" /dev/lab/ || fail "the guest cannot read $LAB_RUN"
. /dev/lab/plan.sh
if [ "$LAB_NEXT" = yes ] && [ "$LAB_STAGE" = 2 ]; then
  LAB_NEXT=no
  cp "$LAB_RUN/next-command.sh" /dev/lab/command.sh || fail "the guest cannot read $LAB_RUN"
fi
if [ "$LAB_NEXT" = yes ]; then
  cp "$LAB_RUN/next-kernel" /dev/lab/ || fail "the guest cannot read $LAB_RUN"
fi

# Lays the guest's memory over the host's tree. What the command writes stays until the VM ends. Without the overlay
# the tree is read-only.
overlay_root() {
  mount_own tmpfs mode=755 /tmp
  mkdir /tmp/upper /tmp/work /tmp/root
  if ! mount -n -t overlay -o lowerdir=/,upperdir=/tmp/upper,workdir=/tmp/work overlay /tmp/root; then
    umount /tmp
    return
  fi
  for folder in /proc /sys /dev; do mount -n --move "$folder" "/tmp/root$folder" || fail "the guest cannot move $folder"; done
  mkdir /tmp/root/.lab-host
  cd /tmp/root && pivot_root . .lab-host && cd / && is_mounted overlay / || fail "the guest cannot change its root"
  umount -n -l /.lab-host && rmdir /.lab-host
}
if grep -qw overlay /proc/filesystems; then overlay_root; fi

mount_optional debugfs rw /sys/kernel/debug
if [ -d /sys/fs/cgroup ]; then mount_optional cgroup2 rw /sys/fs/cgroup; fi
mount_optional devpts gid=5,mode=620,ptmxmode=666 /dev/pts
ln -sf pts/ptmx /dev/ptmx
mount_own tmpfs mode=1777 /dev/shm
mount_optional hugetlbfs pagesize=2M /dev/hugepages
mount_optional hugetlbfs pagesize=1G /dev/hugepages-1G
for folder in $LAB_TMPFS; do mount_own tmpfs mode=1777 "$folder"; done
mount_shares
# Noted only. The host hears of it through the control port: the kernel panics at init's end, and may lose the console's last line.
modules_problem=""
no_modules() {
  modules_problem=$1
  false
}

# Lends the guest its kernel's modules, and loads what the lab and the devices need, as a distribution's udev would. modprobe
# says nothing of a module that is built in or not there. Its other complaints go to the console.
load_modules() {
  [ -e /proc/sys/kernel/modprobe ] || no_modules "the guest's kernel loads no modules: it lacks CONFIG_MODULES" || return
  [ -d /lib/modules ] || mkdir -p /lib/modules || no_modules "the guest cannot make a folder at /lib/modules: its kernel has no overlayfs" || return
  mount -n --bind "$LAB_MODULES" /lib/modules || no_modules "the guest cannot mount $LAB_MODULES at /lib/modules" || return
  [ -d "/lib/modules/$(uname -r)" ] || no_modules "the guest's kernel is $(uname -r), and $LAB_MODULES has no modules of it" || return
  for module in virtio_console vfio_pci vfio_iommu_type1 iommufd; do modprobe -q $module; done
  case $(grep -m 1 -o -w -e vmx -e svm /proc/cpuinfo) in
    vmx*) modprobe -q kvm_intel ;;
    svm*) modprobe -q kvm_amd ;;
  esac
  for device in /sys/bus/pci/devices/*; do
    if read -r alias <"$device/modalias"; then modprobe -q "$alias"; fi
  done
}
[ -z "$LAB_MODULES" ] || load_modules
# Without an overlay, a /tmp around the command's folder is the host's, and read-only.
[ -w /tmp ] || export TMPDIR=/dev/shm
[ -w /run ] && mkdir -p /run/lock
ln -sf /proc/self/fd /dev/fd
ln -sf /proc/self/fd/0 /dev/stdin
ln -sf /proc/self/fd/1 /dev/stdout
ln -sf /proc/self/fd/2 /dev/stderr
# The kernel's own limit is 4096. Tests that open many devices and files get a distribution's limit.
ulimit -n 65536
echo vfio-lab >/proc/sys/kernel/hostname
ip link set lo up 2>/dev/null || ifconfig lo up

port() {
  for entry in /sys/class/virtio-ports/*; do
    if [ -r "$entry/name" ] && read -r name <"$entry/name" && [ "$name" = "$1" ]; then
      echo "/dev/${entry##*/}"
      return
    fi
  done
}

# The ports appear one by one, a moment after the virtio device. Control is the last one on the command line.
tries=0
while control=$(port lab.control) && [ -z "$control" ] && [ $tries -lt 100 ]; do
  tries=$((tries + 1))
  sleep 0.1
done
[ -c "$control" ] || fail "${modules_problem:-the guest has no port to the host}"
exec 3<>"$control"
[ -z "$modules_problem" ] || fail "$modules_problem"

devices=""
for slot in $LAB_BIND; do
  found=""
  # A slot is a path that begins on the root bus. "*" stands for the bus number that the firmware or the kernel chose.
  for device in /sys/bus/pci/devices/$slot; do
    [ -e "$device/vendor" ] || continue
    found=yes
    address=${device##*/}
    if [ -e "$device/driver" ]; then echo "$address" >"$device/driver/unbind"; fi
    echo vfio-pci >"$device/driver_override"
    echo "$address" >/sys/bus/pci/drivers_probe
    case $(readlink "$device/driver") in
      */vfio-pci) devices="$devices${devices:+ }$address" ;;
      *) fail "the guest could not bind $address to vfio-pci" ;;
    esac
  done
  [ -n "$found" ] || fail "the guest has no PCI device at $slot"
done
export LAB_DEVICES="$devices"

{
  while read -r word first second <&3; do
    case $word in
      signal)
        tries=0
        while [ ! -s /dev/lab/pid ] && [ $tries -lt 100 ]; do
          tries=$((tries + 1))
          sleep 0.1
        done
        read -r leader </dev/lab/pid && kill -s "$first" -- "-$leader"
        ;;
      size) stty -F /dev/hvc0 rows "$first" cols "$second" ;;
      off) echo o >/proc/sysrq-trigger ;;
    esac
  done
} &
control_reader=$!

echo "ready $(cut -d' ' -f1 /proc/uptime)" >&3

# The host ends a guest of which it hears nothing: its kernel hangs.
while :; do
  sleep 10
  echo alive >&3
done &
alive=$!

# The command runs in the foreground, because a shell makes background commands ignore SIGINT.
if [ "$LAB_MODE" = shell ]; then
  setsid -c sh /dev/lab/command.sh <>/dev/hvc0 >&0 2>&1
  power_off "exit $?"
fi

# Pipes stand between, because a port can be opened only once, and commands do reopen /dev/stdout.
mkfifo /dev/lab/out /dev/lab/err /dev/lab/in
exec 5>"$(port lab.stdout)" 6>"$(port lab.stderr)"
cat /dev/lab/out >&5 3<&- &
out_relay=$!
cat /dev/lab/err >&6 3<&- &
err_relay=$!
if [ "$LAB_STDIN" = yes ]; then
  cat "$(port lab.stdin)" >/dev/lab/in 3<&- 5>&- 6>&- &
  in_relay=$!
  input=/dev/lab/in
else
  in_relay=""
  input=/dev/null
fi
setsid sh /dev/lab/command.sh <$input >/dev/lab/out 2>/dev/lab/err 3<&- 5>&- 6>&-
status=$?

# Lets the kernel jump into the next one. What the command left behind lives until then: it may hold a live update session,
# which ends with the last process that has it open.
jump() {
  # The relays end with the command's output, unless a process that the command left behind has it open. What the command
  # itself wrote has passed long before two seconds are over.
  tries=0
  while [ -n "$(readlink "/proc/$out_relay/exe" || readlink "/proc/$err_relay/exe")" ] && [ $tries -lt 20 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
  sync
  echo jump >&3
  # On the console, between the two kernels' messages.
  echo "$LAB_JUMP_MARK" >&2
  reason=$(jump_to_next 2>&1)
  fail "$reason"
}
if [ "$LAB_NEXT" = yes ] && [ $status = 0 ]; then jump; fi

# Processes that the command left behind would hold the pipes open. End all but kernel threads and our own.
left=
for process in /proc/[0-9]*; do
  pid=${process#/proc/}
  case " 1 $out_relay $err_relay $control_reader $alive " in *" $pid "*) continue ;; esac
  [ -n "$(readlink "$process/exe")" ] && kill -9 "$pid" 2>/dev/null && left="$left $pid"
done
# A process that hangs in the kernel does not end, and the pipes would stay open for ever. Ten seconds are long enough for
# the others. A process that has ended has no program any more.
tries=0
while [ -n "$left" ] && [ $tries -lt 100 ]; do
  hanging=
  for pid in $left; do
    [ -n "$(readlink "/proc/$pid/exe")" ] && hanging="$hanging $pid"
  done
  left=$hanging
  [ -z "$left" ] || sleep 0.1
  tries=$((tries + 1))
done
if [ -z "$left" ]; then
  wait $out_relay $err_relay
else
  for pid in $left; do
    read -r name <"/proc/$pid/comm"
    echo "lab: process $pid ($name) does not end: it hangs in the kernel" >&6
    # Its stack, where the kernel shows it, goes to the console.
    echo "lab: process $pid ($name) hangs in the kernel:" >&2
    cat "/proc/$pid/stack" >&2 2>/dev/null
  done
  kill -9 $out_relay $err_relay
fi
printf %s "$LAB_END_MARK" >&5
printf %s "$LAB_END_MARK" >&6
power_off "exit $status"
