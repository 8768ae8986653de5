/** Reports in the shape in which kernels print them, by the name under which each must be found. */
export const RECORDED_LOGS: Readonly<Record<string, readonly string[]>> = {
  WARNING: `------------[ cut here ]------------
WARNING: drivers/vfio/vfio_main.c:612 at vfio_device_put+0x31/0x40, CPU#1: node/311
Modules linked in:
CPU: 1 UID: 0 PID: 311 Comm: node Not tainted 7.3.4 #1 PREEMPT(voluntary)
RIP: 0010:vfio_device_put+0x31/0x40
Call Trace:
 <TASK>
 vfio_df_release+0x3c/0x60
 </TASK>
---[ end trace 0000000000000000 ]---`.split("\n"),
  KASAN: `==================================================================
BUG: KASAN: slab-use-after-free in iopt_unmap_iova_range+0x2d1/0x400
Read of size 8 at addr ffff888105a3c018 by task node/287

CPU: 0 UID: 0 PID: 287 Comm: node Not tainted 7.3.4 #1
Call Trace:
 <TASK>
 dump_stack_lvl+0x53/0x70
 </TASK>

Allocated by task 287:
 kasan_save_stack+0x24/0x50

The buggy address belongs to the object at ffff888105a3c000
==================================================================`.split("\n"),
  UBSAN: `------------[ cut here ]------------
UBSAN: array-index-out-of-bounds in drivers/vfio/pci/vfio_pci_config.c:1093:9
index 9 is out of range for type 'u8 [8]'
Call Trace:
 <TASK>
 ubsan_epilogue+0x5/0x2b
 </TASK>
---[ end trace ]---`.split("\n"),
  KCSAN: `==================================================================
BUG: KCSAN: data-race in iommufd_access_rw / iommufd_access_unmap

write to 0xffff8881009e0f10 of 4 bytes by task 301 on cpu 1:
 iommufd_access_unmap+0x34/0x90

Reported by Kernel Concurrency Sanitizer on:
==================================================================`.split("\n"),
  "lockdep: lock order": `
============================================
WARNING: possible recursive locking detected
7.3.4 #1 Not tainted
--------------------------------------------
node/290 is trying to acquire lock:
ffff888100c0a0f8 (&group->group_lock){+.+.}-{3:3}, at: vfio_group_fops_open+0x2b/0x150
stack backtrace:
Call Trace:
 <TASK>
 __mutex_lock+0x9e/0xcb0
 </TASK>`.split("\n"),
  "lockdep: inconsistent lock state": `================================
WARNING: inconsistent lock state
7.3.4 #1 Not tainted
--------------------------------
inconsistent {HARDIRQ-ON-W} -> {IN-HARDIRQ-W} usage.
 </TASK>`.split("\n"),
  "lockdep: RCU usage": `=============================
WARNING: suspicious RCU usage
-----------------------------
drivers/vfio/vfio_main.c:99 suspicious rcu_dereference_check() usage!
 </TASK>`.split("\n"),
  "scheduling while atomic": `BUG: scheduling while atomic: node/301/0x00000002
Preemption disabled at:
Call Trace:
 <TASK>
 __schedule_bug+0x4e/0x60
 </TASK>`.split("\n"),
  "sleeping in invalid context": `BUG: sleeping function called from invalid context at include/linux/sched/mm.h:321
in_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 300, name: node
Call Trace:
 <TASK>
 __might_resched+0x15c/0x190
 </TASK>`.split("\n"),
  "hung task": `INFO: task node:288 blocked for more than 122 seconds.
      Not tainted 7.3.4 #1
"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.
Call Trace:
 <TASK>
 __schedule+0x3f1/0xd50
 </TASK>`.split("\n"),
  "soft lockup": `watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [node:300]
RIP: 0010:iopt_alloc_iova+0x9e/0x300
Call Trace:
 <TASK>
 </TASK>`.split("\n"),
  "hard lockup": `watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 0
RIP: 0010:native_queued_spin_lock_slowpath+0x6a/0x2b0
 </TASK>`.split("\n"),
  "RCU stall": `rcu: INFO: rcu_preempt self-detected stall on CPU
rcu: \t0-....: (5249 ticks this GP) idle=1474/1/0x4000000000000000
Call Trace:
 <TASK>
 </TASK>`.split("\n"),
  refcount: `------------[ cut here ]------------
refcount_t: underflow; use-after-free.
WARNING: lib/refcount.c:28 at refcount_warn_saturate+0xba/0x110, CPU#0: node/310
---[ end trace 0000000000000000 ]---`.split("\n"),
  "list corruption": `------------[ cut here ]------------
list_del corruption. prev->next should be ffff888103e3a008, but was dead000000000100. (prev=ffff888103e3a108)
kernel BUG at lib/list_debug.c:64!
Oops: invalid opcode: 0000 [#1] SMP PTI
---[ end trace 0000000000000000 ]---`.split("\n"),
  kmemleak: ["kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)"],
  "bad memory access": `BUG: kernel NULL pointer dereference, address: 0000000000000010
#PF: supervisor read access in kernel mode
Oops: Oops: 0000 [#1] SMP PTI
CPU: 0 UID: 0 PID: 305 Comm: node Not tainted 7.3.4 #1
Call Trace:
 <TASK>
 </TASK>
---[ end trace 0000000000000000 ]---`.split("\n"),
  "general protection fault":
    `Oops: general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] SMP PTI
Call Trace:
 <TASK>
 </TASK>
---[ end trace 0000000000000000 ]---`.split("\n"),
  panic: `Kernel panic - not syncing: sysrq triggered crash
CPU: 0 UID: 0 PID: 288 Comm: sh Not tainted 7.3.4 #1
Call Trace:
 <TASK>
 </TASK>
---[ end Kernel panic - not syncing: sysrq triggered crash ]---`.split("\n"),
  "page allocation failure":
    `node: page allocation failure: order:7, mode:0x40dc0(GFP_KERNEL|__GFP_COMP|__GFP_ZERO), nodemask=(null),cpuset=/,mems_allowed=0
Call Trace:
 <TASK>
 warn_alloc+0x153/0x190
 </TASK>`.split("\n"),
};

/** What a healthy kernel says during such tests. */
export const HARMLESS_LINES: readonly string[] = [
  "vfio-pci 0000:00:10.0: enabling device (0000 -> 0002)",
  "DMAR: DRHD: handling fault status reg 2",
  "DMAR: [DMA Read NO_PASID] Request device [00:10.0] fault addr 0x100000000 [fault reason 0x06] PTE Read access is not set",
  "vfio-pci 0000:01:00.0: vfio_bar_restore: reset recovery - restoring BARs",
  "INFO: lockdep is turned off.",
  "FAULT_INJECTION: forcing a failure.",
  "==================",
  "sysrq: Show Blocked State",
  "Warning: unable to open an initial console.",
];
