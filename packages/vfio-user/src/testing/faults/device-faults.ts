import { u64 } from "../../conformance/wire/bytes";
import {
  DMA_MAP,
  DMA_UNMAP,
  GET_INFO,
  IO_FDS,
  IRQ_INFO,
  REGION_INFO,
  REGION_READ,
  REGION_WRITE,
  SET_IRQS,
  WRITE_MULTI,
} from "../../conformance/wire/commands";
import { EINVAL, ignores, inReplies, isError, type ServerFault, success, wrongByte } from "./fault-replies";

/** What is wrong with a device as its server shows it: regions, interrupts, memory, what a client leaves. */
export const DEVICE_FAULTS: readonly ServerFault[] = [
  ["sends no descriptors", /^version\.twin|^region_info\.(a_mappable|the_file)/, () => ({ sendsNoDescriptors: true })],
  ["tells a wrong argsz of the device", /^device_info\.(reply|argsz_of)/, () => wrongByte(GET_INFO, 0, 99)],
  ["is no PCI device", /^device_info\.tells/, () => wrongByte(GET_INFO, 4, 1)],
  [
    "has no configuration space",
    /^region_info\.configuration/,
    () => ({
      reply: inReplies(REGION_INFO, (bytes) => void bytes.fill(0, 32, 40)),
    }),
  ],
  ["tells another region", /^region_info\.every/, () => wrongByte(REGION_INFO, 8, 77)],
  ["tells a wrong size of the capabilities", /^region_info\.argsz_without/, () => wrongByte(REGION_INFO, 0, 33)],
  ["tells flags of a region's files", /^region_io_fds\.every/, () => wrongByte(IO_FDS, 4, 1)],
  ["tells another interrupt", /^irq_info\.every/, () => wrongByte(IRQ_INFO, 8, 77)],
  [
    "tells another offset",
    /^region_(read\.(reply|widths|a_whole|last)|write\.a_)/,
    () => {
      const change = (bytes: Buffer): undefined => void (bytes[16] = (bytes[16] ?? 0) ^ 0xff);
      return {
        reply: (bytes, r) => inReplies(REGION_READ, change)(bytes, r) ?? inReplies(REGION_WRITE, change)(bytes, r),
      };
    },
  ],
  [
    "reads other bytes in wide accesses",
    /^region_read\.widths/,
    () => ({
      reply: (bytes, { command }) => {
        if (command === REGION_READ && bytes.length === 36) bytes[35] = 0xee;
        return undefined;
      },
    }),
  ],
  [
    "sends data for a read of nothing",
    /^region_read\.no_byte/,
    () => ({
      reply: (bytes, r) => (r.command === REGION_READ && bytes.length === 32 ? success(r) : undefined),
    }),
  ],
  [
    "does not write",
    /^region_write\.a_written/,
    () => ({
      answer: (r) => (r.command === REGION_WRITE ? success(r, r.body.subarray(0, 16)) : undefined),
    }),
  ],
  [
    "does not write several",
    /^write_multi\.writes/,
    () => ({
      answer: (r) => (r.command === WRITE_MULTI ? success(r, u64(3n)) : undefined),
    }),
  ],
  [
    "reports an overlap with another errno",
    /eexist$/,
    () => ({
      reply: (bytes, { command }) => {
        if (command === DMA_MAP && isError(bytes)) bytes.writeUInt32LE(EINVAL, 12);
        return undefined;
      },
    }),
  ],
  ["maps memory for ever", /^dma_unmap\.all_ref|^disconnect\.the_memory/, () => ({ keepsMappings: true })],
  [
    "unmaps nothing",
    /^dma_unmap\.the_range/,
    () => ({
      answer: (r) => (r.command === DMA_UNMAP ? success(r, r.body) : undefined),
    }),
  ],
  [
    "does not tell what was unmapped",
    /^dma_unmap\.reply/,
    () => ({
      reply: inReplies(DMA_UNMAP, (bytes) => void bytes.fill(0, 16)),
    }),
  ],
  [
    "connects no interrupts",
    /^set_irqs\.(an_event|bools|start_c|another)/,
    () => ignores((r) => r.command === SET_IRQS),
  ],
  [
    "disconnects no eventfd",
    /^set_irqs\.no_descriptor/,
    () => ignores((r) => r.command === SET_IRQS && r.body[4] === 0x24 && r.descriptors === 0),
  ],
  [
    "disables no type",
    /^set_irqs\.count_0/,
    () => ignores((r) => r.command === SET_IRQS && r.body[4] === 0x21 && r.body[16] === 0),
  ],
  ["keeps what was its client's", /^disconnect\.the_(maps|eventfds)/, () => ({ keepsClients: true })],
  ["forgets the device's state", /^disconnect\.the_state/, () => ({ forgetsState: true })],
  ["keeps descriptors open", /^descriptors\.(?!.*no_harm)/, () => ({ leaksDescriptors: true })],
];
