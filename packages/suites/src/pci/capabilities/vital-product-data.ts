import { readFileSync, writeFileSync } from "node:fs";
import { PciCapabilityId } from "@vfio-selftests/core/pci";
import { systemPaths } from "@vfio-selftests/core/sysfs";
import { skip } from "@vfio-selftests/harness";
import type { CapabilityRig } from "../../rigs/config-space/capability-rig";

/** Vital product data (PCI 3.0, appendix I). */
const VPD = { address: 2, data: 4 } as const;
/** Bit of the address that software clears to read and sets to write. The device turns it when it is done. */
const FLAG = 0x8000;
/** Real devices take milliseconds for each word. */
const MOST_BYTES = 512;
const READ_WRITE_TAG = 0x91;
const SMALL_TAG_BYTES = 1;
const LARGE_TAG_BYTES = 3;
const MODEL = "use the model: vfio-selftests lab run -d model:capabilities";

/** Vital product data: the kernel reads and writes it for the user, whose registers are his own (vfio_vpd_config_write). */
export function vitalProductDataTests({ address, device, place, withPhysical }: CapabilityRig): void {
  describe("vital_product_data", () => {
    const file = () => systemPaths.pciDevice(address, "vpd");

    /** The capability and the data, as the kernel has them. */
    const open = (): { vpd: number; bytes: Buffer } => {
      const vpd = place(PciCapabilityId.vpd);
      const bytes = readFileSync(file());
      if (bytes.length === 0) skip({ reason: "the kernel finds no data behind the registers", remedy: MODEL });
      return { vpd, bytes };
    };

    it("is_what_the_kernel_reads", () => {
      const { vpd, bytes } = open();
      const { config } = device();
      const expected = bytes.subarray(0, MOST_BYTES);
      const seen = Buffer.alloc(expected.length + 3);
      for (let at = 0; at < expected.length; at += 4) {
        config.write16(vpd + VPD.address, at);
        expect(config.read16(vpd + VPD.address)).toBe(at | FLAG);
        seen.writeUInt32LE(config.read32(vpd + VPD.data), at & ~3);
      }
      expect(seen.subarray(0, expected.length)).toEqual(expected);
    });

    it("write_reaches_the_device", () => {
      const { vpd, bytes } = open();
      const { config } = device();
      const at = writableWord(bytes);
      if (at === undefined) skip({ reason: "no word of the data can be written", remedy: MODEL });
      const before = bytes.readUInt32LE(at);
      try {
        for (const value of [~before >>> 0, before]) {
          config.write32(vpd + VPD.data, value);
          config.write16(vpd + VPD.address, at | FLAG);
          expect(config.read16(vpd + VPD.address)).toBe(at);
          const expected = Buffer.from(bytes);
          expected.writeUInt32LE(value, at);
          expect(readFileSync(file())).toEqual(expected);
        }
      } finally {
        writeFileSync(file(), bytes.subarray(at, at + 4), { flag: "r+" });
      }
    });

    it("registers_are_the_users", () => {
      withPhysical((physical) => {
        const { vpd, bytes } = open();
        const { config } = device();
        config.write16(vpd + VPD.address, 0);
        const real = physical.bytes(vpd + VPD.address, 6);
        config.write32(vpd + VPD.data, 0x0bad_cafe);
        // Nothing moves before the flag is written, which is in the upper byte.
        config.write8(vpd + VPD.address, 4);
        expect([config.read32(vpd + VPD.data), config.read16(vpd + VPD.address)]).toEqual([0x0bad_cafe, FLAG | 4]);
        expect(physical.bytes(vpd + VPD.address, 6)).toEqual(real);
        config.write8(vpd + VPD.address + 1, 0);
        expect([config.read32(vpd + VPD.data), config.read16(vpd + VPD.address)]).toEqual([
          bytes.readUInt32LE(4),
          FLAG | 4,
        ]);
        expect(physical.read16(vpd + VPD.address)).toBe(FLAG | 4);
      });
    });

    it("write_behind_the_end_or_between_words_never_ends", () => {
      const { vpd, bytes } = open();
      const { config } = device();
      const behind = (bytes.length + 3) & ~3;
      if (behind >= FLAG) skip({ reason: "the data has no end before the last address", remedy: MODEL });
      try {
        for (const at of [behind, FLAG - 4, 2]) {
          config.write32(vpd + VPD.data, 0x0bad_cafe);
          config.write16(vpd + VPD.address, at | FLAG);
          expect(config.read16(vpd + VPD.address)).toBe(at | FLAG);
        }
      } finally {
        config.write16(vpd + VPD.address, 0);
      }
      expect(config.read16(vpd + VPD.address)).toBe(FLAG);
      expect(readFileSync(file())).toEqual(bytes);
    });
  });
}

/** A word in the last field of the read-write resource, RW, which belongs to nobody. */
function writableWord(bytes: Buffer): number | undefined {
  let at = 0;
  while (at + LARGE_TAG_BYTES <= bytes.length) {
    const tag = bytes.readUInt8(at);
    if ((tag & 0x80) === 0) {
      at += SMALL_TAG_BYTES + (tag & 7);
      continue;
    }
    const end = at + LARGE_TAG_BYTES + bytes.readUInt16LE(at + 1);
    if (tag === READ_WRITE_TAG) {
      const word = (end - 4) & ~3;
      return word >= at + LARGE_TAG_BYTES && end <= bytes.length ? word : undefined;
    }
    at = end;
  }
  return undefined;
}
