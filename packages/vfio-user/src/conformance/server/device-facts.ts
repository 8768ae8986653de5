import { NotApplicable } from "../check";
import { u32At, u64At } from "../wire/bytes";
import { type Conversation } from "../wire/conversation";
import { isError } from "../wire/header-flags";
import { deviceInfo, irqInfo, regionInfo } from "../wire/messages";
import { requireSuccess } from "./expectations";

export interface RegionFacts {
  readonly index: number;
  readonly flags: number;
  readonly size: bigint;
}

export interface IrqFacts {
  readonly index: number;
  readonly flags: number;
  readonly count: number;
}

export const REGION_READ_FLAG = 1;
export const REGION_WRITE_FLAG = 2;
export const REGION_MMAP_FLAG = 4;
export const REGION_CAPS_FLAG = 8;
export const IRQ_EVENTFD_FLAG = 1;
export const IRQ_MASKABLE_FLAG = 2;

/** VFIO_PCI_CONFIG_REGION_INDEX. */
export const CONFIG_REGION = 7;

/** The register of configuration space that every device has, that software may write, and that has no effect. */
export const INTERRUPT_LINE = 0x3cn;

/** More regions or interrupts than that are a nonsensical answer, and would only take time. */
const MOST = 64;

/** What a server tells of its device, asked for when a check needs it. */
export class DeviceFacts {
  readonly resettable: boolean;
  readonly regionCount: number;
  readonly irqCount: number;
  readonly #conversation: Conversation;

  constructor(conversation: Conversation) {
    this.#conversation = conversation;
    const reply = conversation.ask("DEVICE_GET_INFO", deviceInfo());
    requireSuccess(reply, 16);
    this.resettable = (u32At(reply.body, 4) & 1) !== 0;
    this.regionCount = u32At(reply.body, 8);
    this.irqCount = u32At(reply.body, 12);
  }

  /** Those with a size. */
  regions(): RegionFacts[] {
    return this.#indexes(this.regionCount).flatMap((index) => {
      const { body, ...reply } = this.#conversation.ask("DEVICE_GET_REGION_INFO", regionInfo(index));
      if (isError(reply) || body.length < 32) return [];
      const facts = { index, flags: u32At(body, 4), size: u64At(body, 16) };
      return facts.size === 0n ? [] : [facts];
    });
  }

  /** Those with a vector. */
  irqs(): IrqFacts[] {
    return this.#indexes(this.irqCount).flatMap((index) => {
      const { body, ...reply } = this.#conversation.ask("DEVICE_GET_IRQ_INFO", irqInfo(index));
      if (isError(reply) || body.length < 16) return [];
      const facts = { index, flags: u32At(body, 4), count: u32At(body, 12) };
      return facts.count === 0 ? [] : [facts];
    });
  }

  /** Configuration space, readable and writable. */
  config(): RegionFacts {
    const found = this.regions().find(({ index }) => index === CONFIG_REGION);
    if (found !== undefined && (found.flags & 3) === 3) return found;
    throw new NotApplicable("the device has no configuration space that can be read and written", "serve a PCI device");
  }

  /** An interrupt that signals eventfds and has at least `count` vectors. */
  eventfdIrq(count = 1): IrqFacts {
    const found = this.irqs().find((irq) => (irq.flags & IRQ_EVENTFD_FLAG) !== 0 && irq.count >= count);
    if (found !== undefined) return found;
    throw new NotApplicable(
      `the device has no interrupt with ${count} vectors that signals eventfds`,
      "serve a device with one",
    );
  }

  /** The device can be reset. */
  requireResettable(): void {
    if (this.resettable) return;
    throw new NotApplicable("the device does not say VFIO_DEVICE_FLAGS_RESET", "serve a device that can be reset");
  }

  #indexes(count: number): number[] {
    return Array.from({ length: Math.min(count, MOST) }, (_, index) => index);
  }
}
