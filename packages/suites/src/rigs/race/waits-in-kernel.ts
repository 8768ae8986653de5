import { listDirectory, readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";

/** The request's place in /proc/PID/task/TID/syscall, behind the call's number and the descriptor. */
const REQUEST = 2;

/** Whether a thread of this process sleeps in an ioctl with this request. A thread that runs shows no call (proc(5)). */
export function waitsInIoctl(request: number): boolean {
  const tasks = systemPaths.proc("self", "task");
  return listDirectory(tasks).some(
    (task) => Number(readAttribute(`${tasks}/${task}/syscall`)?.split(" ")[REQUEST]) === request,
  );
}
