import { native } from "@vfio-selftests/native";
import type { DeviceModel, ModelRegion } from "../server/device-model";
import { PciRegion } from "../server/device-model";
import { ScratchModel } from "./scratch-model";

const PAGE = 4096;

/** BAR 2 of the sparse device: registers, memory, registers, memory; a page each. */
export const SPARSE_BAR = {
  size: 4 * PAGE,
  /** What clients may map. */
  areas: [
    { offset: PAGE, size: PAGE },
    { offset: 3 * PAGE, size: PAGE },
  ],
  /** 32 bits, read-only: accesses that have arrived as messages, this one too. */
  messages: 0,
  /** 32 bits: an offset in the memory, for `peeked`. */
  peek: 4,
  /** 32 bits, read-only: what the model finds there. */
  peeked: 8,
  /** 32 bits that keep what is written to them, between the areas. */
  kept: 2 * PAGE,
} as const;

/** The scratch device with a BAR of which clients may map only parts. For {@link ModelWorker}. */
export function createModel(): DeviceModel {
  const fd = native.memfdCreate("sparse-bar", 0);
  native.ftruncate(fd, SPARSE_BAR.size);
  const word = Buffer.alloc(4);
  const registers = { messages: 0, peek: 0, kept: 0 };
  const read = (offset: number): number => {
    switch (offset) {
      case SPARSE_BAR.messages:
        return registers.messages;
      case SPARSE_BAR.peek:
        return registers.peek;
      case SPARSE_BAR.peeked:
        native.pread(fd, word, registers.peek);
        return word.readUInt32LE();
      case SPARSE_BAR.kept:
        return registers.kept;
      default:
        return 0;
    }
  };
  const bar2: ModelRegion = {
    size: SPARSE_BAR.size,
    read: (offset) => {
      registers.messages++;
      return read(offset);
    },
    write: (offset, _width, value) => {
      registers.messages++;
      if (offset === SPARSE_BAR.peek) registers.peek = value;
      if (offset === SPARSE_BAR.kept) registers.kept = value;
    },
    memory: { fd, areas: SPARSE_BAR.areas },
  };
  const model = new ScratchModel();
  (model.regions as Map<number, ModelRegion>).set(PciRegion.bar2, bar2);
  return model;
}
