import { native } from "@vfio-selftests/native";

/** fcntl(2) */
const F_GETFD = 1;
const FD_CLOEXEC = 1;

/** Expects that no program which this process becomes inherits the descriptor. Kernel files that hold devices must not leak so. */
export function expectClosedByExec(fd: number): void {
  expect(native.fcntl(fd, F_GETFD)).toBe(FD_CLOEXEC);
}
