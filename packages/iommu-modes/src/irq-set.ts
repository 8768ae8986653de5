import type { SetIrqs } from "@vfio-selftests/core";
import { argumentError } from "@vfio-selftests/core/errors";
import {
  VFIO_IRQ_SET_ACTION_MASK,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_ACTION_UNMASK,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
  vfio_irq_set,
} from "@vfio-selftests/core/uapi";

const ACTIONS = {
  mask: VFIO_IRQ_SET_ACTION_MASK,
  unmask: VFIO_IRQ_SET_ACTION_UNMASK,
  trigger: VFIO_IRQ_SET_ACTION_TRIGGER,
} as const;

/** The argument of VFIO_DEVICE_SET_IRQS. */
export function encodeSetIrqs({ index, action, start, count, data }: SetIrqs): Uint8Array {
  const fields = vfio_irq_set.fields;
  let type = VFIO_IRQ_SET_DATA_NONE;
  let payload = new Uint8Array(0);
  if (data !== undefined && "eventfds" in data) {
    type = VFIO_IRQ_SET_DATA_EVENTFD;
    payload = new Uint8Array(Int32Array.from(data.eventfds).buffer);
    requireCount(count, data.eventfds.length);
  } else if (data !== undefined) {
    type = VFIO_IRQ_SET_DATA_BOOL;
    payload = Uint8Array.from(data.bools, Number);
    requireCount(count, data.bools.length);
  }
  const view = vfio_irq_set.allocate(payload.length);
  fields.argsz.set(view, view.bytes.length);
  fields.flags.set(view, type | ACTIONS[action]);
  fields.index.set(view, index);
  fields.start.set(view, start);
  fields.count.set(view, count);
  view.bytes.set(payload, vfio_irq_set.size);
  return view.bytes;
}

function requireCount(count: number, given: number): void {
  if (count !== given) throw argumentError("setIrqs", "count", count, `${given}, the number of values given`);
}
