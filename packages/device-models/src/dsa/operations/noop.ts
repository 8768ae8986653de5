import { Status } from "../descriptors/status";
import type { Operation } from "./operation";

/** No-op (section 8.3.1). */
export const noop: Operation = {
  code: 0x00,
  name: "NOOP",
  flags: 0,
  required: 0,
  reserved: [
    [16, 35],
    [38, 63],
  ],
  size: "none",
  start: () => ({ outcome: { status: Status.success }, advance: () => 0 }),
};
