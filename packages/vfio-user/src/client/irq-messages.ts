import type { SetIrqs } from "@vfio-selftests/core";
import { argumentError } from "@vfio-selftests/core/errors";
import {
  VFIO_IRQ_SET_ACTION_MASK,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_ACTION_UNMASK,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
} from "@vfio-selftests/core/uapi";

const ACTIONS = {
  mask: VFIO_IRQ_SET_ACTION_MASK,
  unmask: VFIO_IRQ_SET_ACTION_UNMASK,
  trigger: VFIO_IRQ_SET_ACTION_TRIGGER,
} as const;

/** One VFIO_USER_DEVICE_SET_IRQS. */
export interface IrqMessage {
  readonly flags: number;
  readonly start: number;
  readonly count: number;
  readonly bools: Uint8Array;
  readonly fds: number[];
}

const NO_BOOLS = new Uint8Array(0);

/**
 * The messages of one request. eventfds travel beside a message, at most `maxFds` at a time. A message has one for each
 * of its vectors or none, which disconnects them. So a mixed request becomes several messages.
 */
export function irqMessages({ action, start, count, data }: SetIrqs, maxFds: number): IrqMessage[] {
  const act = ACTIONS[action];
  if (data === undefined) return [{ flags: VFIO_IRQ_SET_DATA_NONE | act, start, count, bools: NO_BOOLS, fds: [] }];
  if ("bools" in data) {
    requireCount(count, data.bools.length);
    return [{ flags: VFIO_IRQ_SET_DATA_BOOL | act, start, count, bools: Uint8Array.from(data.bools, Number), fds: [] }];
  }
  const { eventfds } = data;
  requireCount(count, eventfds.length);
  const flags = VFIO_IRQ_SET_DATA_EVENTFD | act;
  const messages: IrqMessage[] = [];
  for (let first = 0; first < eventfds.length;) {
    const connect = (eventfds[first] ?? -1) >= 0;
    let end = first + 1;
    while (end < eventfds.length && (eventfds[end] ?? -1) >= 0 === connect && !(connect && end - first >= maxFds))
      end += 1;
    const fds = connect ? eventfds.slice(first, end) : [];
    messages.push({ flags, start: start + first, count: end - first, bools: NO_BOOLS, fds });
    first = end;
  }
  return messages;
}

function requireCount(count: number, given: number): void {
  if (count !== given) throw argumentError("setIrqs", "count", count, `${given}, the number of values given`);
}
