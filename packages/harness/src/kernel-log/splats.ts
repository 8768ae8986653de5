/** A kind of report in which the kernel says that something is wrong with itself. */
export interface Splat {
  /** Its name in failures: `panic`. */
  readonly name: string;
  /** The line that identifies the kind, without its time stamp. */
  readonly pattern: RegExp;
  /** What prints that line. */
  readonly source: string;
  /** The report's last line; `only` where the report is one line. */
  readonly end: RegExp | "only";
}

/** `print_oops_end_marker` in kernel/panic.c; UBSAN's has no number (`ubsan_epilogue` in lib/ubsan.c). */
const END_TRACE = /^---\[ end trace/;
/** The end of a call trace of x86 (`__show_trace_log_lvl` in arch/x86/kernel/dumpstack.c). */
const END_CALLS = /^ ?<\/TASK>/;
/** The line that frames reports of the sanitizers (`end_report` in mm/kasan/report.c). */
export const FRAME = /^={20,}$/;

/** `CUT_HERE` of include/asm-generic/bug.h: what follows is a report, whatever its words. */
export const CUT_HERE = /^-+\[ cut here \]-+$/;

/**
 * The kinds that fail a test, narrower ones before wider ones. The kernel's fault injection (`FAULT_INJECTION: forcing
 * a failure`, lib/fault-inject.c) is not among them, because somebody asked for it. Nor is `unchecked MSR access
 * error`, which hypervisors that lack a register provoke at every boot.
 */
export const SPLATS: readonly Splat[] = [
  {
    name: "panic",
    pattern: /^Kernel panic - not syncing/,
    source: "kernel/panic.c vpanic",
    end: /^---\[ end Kernel panic/,
  },
  { name: "KASAN", pattern: /^BUG: KASAN: /, source: "mm/kasan/report.c print_error_description", end: FRAME },
  { name: "KCSAN", pattern: /^BUG: KCSAN: /, source: "kernel/kcsan/report.c print_report", end: FRAME },
  { name: "KFENCE", pattern: /^BUG: KFENCE: /, source: "mm/kfence/report.c kfence_report_error", end: FRAME },
  { name: "KMSAN", pattern: /^BUG: KMSAN: /, source: "mm/kmsan/report.c kmsan_report", end: FRAME },
  { name: "UBSAN", pattern: /^UBSAN: /, source: "lib/ubsan.c ubsan_prologue", end: END_TRACE },
  {
    name: "kmemleak",
    pattern: /^kmemleak: \d+ new suspected memory leaks/,
    source: "mm/kmemleak.c kmemleak_scan",
    end: "only",
  },
  {
    name: "lockdep: lock order",
    pattern:
      /^WARNING: (?:possible (?:circular locking dependency|irq lock inversion dependency|recursive locking)|.* lock order) detected/,
    source: "kernel/locking/lockdep.c print_circular_bug_header, print_deadlock_bug, print_bad_irq_dependency",
    end: END_CALLS,
  },
  {
    name: "lockdep: inconsistent lock state",
    pattern: /^WARNING: inconsistent lock state/,
    source: "kernel/locking/lockdep.c print_usage_bug",
    end: END_CALLS,
  },
  {
    name: "lockdep: RCU usage",
    pattern: /^WARNING: suspicious RCU usage/,
    source: "kernel/locking/lockdep.c lockdep_rcu_suspicious",
    end: END_CALLS,
  },
  {
    name: "lockdep: lock misuse",
    pattern:
      /^WARNING: (?:bad unlock balance detected|held lock freed|lock held when returning to user space|Nested lock was not taken|bad contention detected|.* still has locks held|.*leaving the kernel with locks still held)/,
    source: "kernel/locking/lockdep.c print_unlock_imbalance_bug, print_freed_lock_bug, lockdep_sys_exit",
    end: END_CALLS,
  },
  {
    name: "lockdep",
    pattern: /^\[ BUG: /,
    source: "kernel/locking/lockdep.c print_lock_invalid_wait_context",
    end: END_CALLS,
  },
  {
    name: "lockdep: key",
    pattern: /^INFO: trying to register non-static key/,
    source: "kernel/locking/lockdep.c register_lock_class",
    end: END_CALLS,
  },
  {
    name: "scheduling while atomic",
    pattern: /^BUG: scheduling while atomic: /,
    source: "kernel/sched/core.c __schedule_bug",
    end: END_CALLS,
  },
  {
    name: "sleeping in invalid context",
    pattern: /^BUG: sleeping function called from invalid context/,
    source: "kernel/sched/core.c __might_resched",
    end: END_CALLS,
  },
  {
    name: "soft lockup",
    pattern: /^(?:watchdog: )?BUG: soft lockup - /,
    source: "kernel/watchdog.c watchdog_timer_fn",
    end: END_CALLS,
  },
  {
    name: "hard lockup",
    pattern: /^(?:NMI )?watchdog: .*hard LOCKUP/,
    source: "kernel/watchdog.c watchdog_hardlockup_check",
    end: END_CALLS,
  },
  {
    name: "hung task",
    pattern: /^INFO: task .* blocked (?:in I\/O wait )?for more than \d+ seconds/,
    source: "kernel/hung_task.c hung_task_info",
    end: END_CALLS,
  },
  {
    name: "RCU stall",
    pattern: /^(?:rcu: )?INFO: \S+ (?:self-)?detected (?:expedited )?stalls?/,
    source: "kernel/rcu/tree_stall.h print_other_cpu_stall, print_cpu_stall",
    end: END_CALLS,
  },
  { name: "list corruption", pattern: /^list_(?:add|del) corruption/, source: "lib/list_debug.c", end: END_TRACE },
  { name: "refcount", pattern: /^refcount_t: /, source: "lib/refcount.c refcount_warn_saturate", end: END_TRACE },
  { name: "kernel BUG", pattern: /^kernel BUG at /, source: "lib/bug.c report_bug", end: END_TRACE },
  {
    name: "general protection fault",
    pattern: /^(?:Oops: )?(?:Oops: )?general protection fault/,
    source: "arch/x86/kernel/traps.c exc_general_protection",
    end: END_TRACE,
  },
  {
    name: "bad memory access",
    pattern: /^BUG: (?:kernel NULL pointer dereference|unable to handle page fault)|^Unable to handle kernel /,
    source: "arch/x86/mm/fault.c show_fault_oops, arch/arm64/mm/fault.c die_kernel_fault",
    end: END_TRACE,
  },
  {
    name: "oops",
    pattern:
      /^(?:Oops: |Oops\b.*\[#\d+\]|Internal error: |divide error: |invalid opcode: |stack segment: |double fault: )/,
    source: "arch/x86/kernel/dumpstack.c __die_header, arch/arm64/kernel/traps.c __die",
    end: END_TRACE,
  },
  {
    // A caller that may ask for more than there is passes __GFP_NOWARN.
    name: "page allocation failure",
    pattern: /^\S.*: page allocation failure: order:/,
    source: "mm/page_alloc.c warn_alloc",
    end: END_CALLS,
  },
  { name: "WARNING", pattern: /^WARNING: /, source: "kernel/panic.c __warn", end: END_TRACE },
  {
    name: "BUG",
    pattern: /^BUG: /,
    source: "mm/page_alloc.c bad_page, kernel/workqueue.c wq_watchdog_timer_fn, and others",
    end: END_CALLS,
  },
];
