import type { SetIrqs } from "@vfio-selftests/core";
import { OwnedDescriptor } from "@vfio-selftests/core/backend";
import { Errno } from "@vfio-selftests/core/errors";
import { FakeInterrupts } from "@vfio-selftests/core/testing";
import * as uapi from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";

/** Bits of a file offset below the region's index. vfio-pci has 40. */
const REGION_SHIFT = 20;
const REGIONS = 9;
const IRQS = 5;
const SIZES: Readonly<Record<number, number>> = { 0: 65536, 7: 4096 };

/**
 * The state that the files of one device share: a mappable BAR 0 and a configuration space, both in one memory file,
 * and MSI and MSI-X by the rules of vfio-pci.
 */
export class FakeDeviceFile implements Disposable {
  readonly memory: OwnedDescriptor;
  readonly interrupts: FakeInterrupts;
  /** MSI and MSI-X vectors that the machine has left. */
  vectorsLeft = Infinity;

  constructor(readonly address: string) {
    this.memory = new OwnedDescriptor(native.memfdCreate("fake-device", 0), address);
    native.ftruncate(this.memory.descriptor("ftruncate"), REGIONS << REGION_SHIFT);
    this.interrupts = new FakeInterrupts(address, { 0: { count: 1 }, 1: { count: 8 }, 2: { count: 32 } });
  }

  ioctl(request: number, bytes: Uint8Array): number {
    const reply = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
    switch (request) {
      case uapi.VFIO_DEVICE_GET_INFO:
        reply.set([uapi.VFIO_DEVICE_FLAGS_RESET | uapi.VFIO_DEVICE_FLAGS_PCI, REGIONS, IRQS], 1);
        return 0;
      case uapi.VFIO_DEVICE_GET_REGION_INFO:
        return regionInfo(reply);
      case uapi.VFIO_DEVICE_GET_IRQ_INFO: {
        const { flags, count } = this.interrupts.info(reply[2] ?? 0);
        reply.set([flags, reply[2] ?? 0, count], 1);
        return 0;
      }
      case uapi.VFIO_DEVICE_SET_IRQS:
        return this.#setIrqs(reply, bytes);
      case uapi.VFIO_DEVICE_RESET:
        return 0;
      default:
        return -Errno.ENOTTY;
    }
  }

  [Symbol.dispose](): void {
    this.interrupts.close();
    this.memory.close();
  }

  #setIrqs(words: Uint32Array, bytes: Uint8Array): number {
    const request = decodeSetIrqs(words, bytes);
    const eventfds = request.data !== undefined && "eventfds" in request.data;
    if (eventfds && request.index > 0 && request.count > this.vectorsLeft) return this.vectorsLeft;
    try {
      this.interrupts.set(request);
      return 0;
    } catch (error) {
      return -((error as { errno?: number }).errno ?? Errno.EINVAL);
    }
  }
}

function regionInfo(reply: Uint32Array): number {
  const index = reply[2] ?? 0;
  if (index === 8) return -Errno.EINVAL;
  const size = SIZES[index] ?? 0;
  const mappable = index === 0 ? uapi.VFIO_REGION_INFO_FLAG_MMAP : 0;
  reply[1] = uapi.VFIO_REGION_INFO_FLAG_READ | uapi.VFIO_REGION_INFO_FLAG_WRITE | mappable;
  reply[4] = size;
  reply[6] = index << REGION_SHIFT;
  return 0;
}

function decodeSetIrqs(words: Uint32Array, bytes: Uint8Array): SetIrqs {
  const [, flags = 0, index = 0, start = 0, count = 0] = words;
  const action =
    (flags & uapi.VFIO_IRQ_SET_ACTION_MASK) !== 0
      ? "mask"
      : (flags & uapi.VFIO_IRQ_SET_ACTION_UNMASK) !== 0
        ? "unmask"
        : "trigger";
  const base = { index, action, start, count } as const;
  const data = bytes.slice(uapi.vfio_irq_set.size);
  if ((flags & uapi.VFIO_IRQ_SET_DATA_EVENTFD) !== 0)
    return { ...base, data: { eventfds: [...new Int32Array(data.buffer, 0, count)] } };
  if ((flags & uapi.VFIO_IRQ_SET_DATA_BOOL) !== 0) return { ...base, data: { bools: [...data].map(Boolean) } };
  return base;
}
