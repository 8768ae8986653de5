import { DmaMemory, Iommu, PciDevice } from "@vfio-selftests/core";
import { DriverSession, sleepSync } from "@vfio-selftests/core/driver";
import { eachMode, fixture } from "@vfio-selftests/harness";
import { driver } from "./index.js";
import { Control, LAST_ADDRESS, Reg } from "./registers.js";
import { testTarget } from "./testing/target.js";

const SIZE = 4096;
const MEMORY = 2 * 2 ** 20;
const UNMAPPED = 0x1_0000_0000n;
/** More copies than the ring has descriptors. */
const COPIES = 2500;

// Tests of this device alone. Their ids are plx_dma.MODE.NAME.
const target = testTarget();
fixture("plx_dma", target, (address) => {
  eachMode(target, (mode) => {
    /** A device with its driver, and memory for two of the largest copies. */
    function withDriver(use: (session: DriverSession, iova: bigint, bytes: Uint8Array) => void): void {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      using memory = DmaMemory.allocate(MEMORY, { backing: "memfd" });
      using region = iommu.map(memory, { iova: 0x10_0000n });
      using session = new DriverSession(driver, device, iommu);
      use(session, region.iova, region.bytes);
    }

    // #region own-test
    it("ring_goes_round", () => {
      withDriver((session, iova, bytes) => {
        for (let n = 0; n < COPIES; n++) {
          bytes[0] = n & 0xff;
          session.memcpySync(iova, iova + 8n, 1);
          expect({ n, copied: bytes[8] }).toEqual({ n, copied: n & 0xff });
        }
      });
    });
    // #endregion own-test

    it("interrupts_come_one_after_the_other", () => {
      withDriver((session) => {
        for (let n = 0; n < 3; n++) {
          session.sendMsi();
          expect(session.msi.waitSync({ timeoutMs: 1000 })).toBe(1n);
        }
      });
    });

    it("time_out_stops_the_copies", () => {
      withDriver((session, iova, bytes) => {
        const { maxMemcpySize: size, maxMemcpyCount: count } = session.limits;
        const copied = bytes.subarray(size, 2 * size);
        const to = iova + BigInt(size);
        session.memcpyStart(iova, to, size, count);
        expect(() => session.memcpyWait({ timeoutMs: 0 })).toThrow("waited 0 ms for the last descriptor");
        copied.fill(0xa5);
        // A device that is still at work overwrites the bytes with zeros.
        sleepSync(50);
        expect(copied.every((byte) => byte === 0xa5)).toBe(true);
        session.memcpySync(iova, to, size);
        expect(copied.every((byte) => byte === 0)).toBe(true);
      });
    });

    it("device_waits_at_an_invalid_descriptor", () => {
      withDriver((session, iova) => {
        session.memcpySync(iova, iova + 64n, 64);
        const control = () => session.device.bar(0).read16(Reg.control);
        // The device looks for the next descriptor after it has written the last one back.
        const deadline = performance.now() + 1000;
        while ((control() & Control.invalidDescriptor) === 0 && performance.now() < deadline);
        expect(control() & Control.invalidDescriptor).not.toBe(0);
      });
    });

    it("error_tells_which_copy_failed_and_how", () => {
      withDriver((session, iova) => {
        session.memcpyStart(UNMAPPED, iova, SIZE, 3);
        expect(() => session.memcpyWait()).toThrow(/copy 1 of 3: a read failed after 0 bytes on .*; control 0x/);
        expect(() => session.memcpySync(iova, UNMAPPED, SIZE)).toThrow("copy 1 of 1: a write failed after 0 bytes");
      });
    });

    it("addresses_of_more_than_48_bits_are_refused", () => {
      withDriver((session, iova) => {
        expect(() => session.memcpySync(iova, LAST_ADDRESS + 1n, 1)).toThrow(/destination is 0x1000000000000; allowed/);
      });
    });
  });
});
