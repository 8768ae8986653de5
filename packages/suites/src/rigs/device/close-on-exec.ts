import { native } from "@vfio-selftests/native";

/** fcntl.h */
const F_GETFD = 1;
const FD_CLOEXEC = 1;

/** Whether a descriptor ends where its process executes another program, which then does not inherit it. */
export function closesOnExec(descriptor: number): boolean {
  const flags = native.fcntl(descriptor, F_GETFD);
  if (flags < 0) throw new Error(`F_GETFD: ${flags}`);
  return (flags & FD_CLOEXEC) !== 0;
}
