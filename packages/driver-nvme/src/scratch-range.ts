import { argumentError } from "@vfio-selftests/core/errors";
import type { NvmeController } from "./nvme-controller";
import { SCRATCH_BYTES } from "./region-layout";
import { Cns, IdentifyController, IdentifyNamespace, PAGE_SIZE, Segments } from "./registers";
import { SCRATCH_VARIABLE, type ScratchDisk } from "./scratch-disks";

/** The blocks that copies go through: the last ones of a namespace that the caller gave away. */
export interface ScratchRange {
  /** The disk's serial number. */
  readonly serial: string;
  readonly namespace: number;
  readonly blockBytes: number;
  readonly bytes: number;
  /** Addresses and sizes of copies are multiples of it. */
  readonly alignment: number;
  /** The first block's address, in halves. */
  readonly firstLow: number;
  readonly firstHigh: number;
}

/** A list of pages has no finer grain than a block. */
const ALIGNMENT_BY_SEGMENTS: Readonly<Record<number, number>> = { [Segments.anyBytes]: 1, [Segments.dwords]: 4 };

interface Namespace {
  readonly number: number;
  readonly blocks: bigint;
  readonly blockBytes: number;
}

/** Throws when the caller named no namespace of this disk, or none that the driver can use. It reads only. */
export function findScratchRange(controller: NvmeController, disks: readonly ScratchDisk[]): ScratchRange {
  const identity = controller.identify(Cns.controller);
  const serial = text(identity, IdentifyController.serial, IdentifyController.serialBytes);
  const maximum = identity.getUint8(IdentifyController.maximumTransfer);
  const segments = identity.getUint32(IdentifyController.segments, true) & Segments.mask;
  const disk = disks.find((one) => one.serial === serial);
  if (disk === undefined) {
    const named = disks.map((one) => one.serial).join(",");
    throw argumentError(
      `nvme create: ${controller.device.address}`,
      SCRATCH_VARIABLE,
      named,
      `${serial}, if all data may go`,
    );
  }
  const { number, blocks, blockBytes } = findNamespace(controller, disk);
  // MDTS counts pages as a power of two; 0 sets no limit.
  const most = Math.min(SCRATCH_BYTES, maximum === 0 ? Infinity : PAGE_SIZE * 2 ** maximum);
  const used = BigInt(Math.floor(most / blockBytes));
  const count = blocks < used ? blocks : used;
  if (count === 0n) throw refusal(controller, `namespace ${number} has ${blocks} blocks of ${blockBytes} bytes`);
  const first = blocks - count;
  return {
    serial,
    namespace: number,
    blockBytes,
    bytes: Number(count) * blockBytes,
    alignment: ALIGNMENT_BY_SEGMENTS[segments] ?? blockBytes,
    firstLow: Number(first & 0xffff_ffffn),
    firstHigh: Number(first >> 32n),
  };
}

/** Whether both are the same blocks of the same disk. */
export function isSameRange(a: ScratchRange, b: ScratchRange): boolean {
  const keys = ["serial", "namespace", "blockBytes", "bytes", "firstLow", "firstHigh"] as const;
  return keys.every((key) => a[key] === b[key]);
}

/** The blocks as text, for errors. */
export function rangeText({ serial, namespace, firstLow, firstHigh, bytes, blockBytes }: ScratchRange): string {
  const first = (BigInt(firstHigh) << 32n) | BigInt(firstLow);
  const last = first + BigInt(bytes / blockBytes) - 1n;
  return `blocks ${first} to ${last} of namespace ${namespace} of disk ${serial}`;
}

function findNamespace(controller: NvmeController, disk: ScratchDisk): Namespace {
  const number = disk.namespace ?? firstActive(controller);
  const identity = controller.identify(Cns.namespace, number);
  const blocks = identity.getBigUint64(IdentifyNamespace.size, true);
  // Identify returns zeroes for a namespace that is not active.
  if (blocks === 0n) throw refusal(controller, `it has no namespace ${number}`);
  const formats = identity.getUint8(IdentifyNamespace.format);
  const format = (formats & 0x0f) | ((formats & 0x60) >> 1);
  const layout = identity.getUint32(IdentifyNamespace.formats + 4 * format, true);
  const blockBytes = 2 ** ((layout >>> 16) & 0xff);
  const metadata = layout & 0xffff;
  const problems = [
    ...(metadata === 0 ? [] : [`${metadata} bytes of metadata`]),
    ...((identity.getUint8(IdentifyNamespace.protection) & 7) === 0 ? [] : ["end-to-end protection"]),
    ...((identity.getUint8(IdentifyNamespace.attributes) & 1) === 0 ? [] : ["write protection"]),
    ...(blockBytes >= 512 && blockBytes <= PAGE_SIZE ? [] : [`blocks of ${blockBytes} bytes`]),
  ];
  if (problems.length > 0) throw refusal(controller, `namespace ${number} has ${problems.join(" and ")}`);
  return { number, blocks, blockBytes };
}

function firstActive(controller: NvmeController): number {
  if (!controller.listsNamespaces) return 1;
  const first = controller.identify(Cns.activeNamespaces).getUint32(0, true);
  if (first === 0) throw refusal(controller, "it has no active namespace");
  return first;
}

function refusal(controller: NvmeController, why: string): Error {
  return controller.error("ERR_NOT_SUPPORTED", "create", why);
}

/** ASCII, padded with spaces. */
function text(view: DataView, offset: number, length: number): string {
  return Buffer.from(view.buffer, view.byteOffset + offset, length)
    .toString("latin1")
    .trim();
}
