import { PciCapabilityId } from "@vfio-selftests/core/pci";
import { skip } from "@vfio-selftests/harness";
import { scratchRegistersOf } from "../../devices/scratch-registers";
import type { CapabilityRig } from "../../rigs/config-space/capability-rig";
import type { PhysicalConfig } from "../../rigs/config-space/physical-config";

/** PCI Express (section 7.5.3). */
const EXPRESS = {
  deviceControl: 8,
  payload: 7 << 5,
  phantom: 1 << 9,
  readRequest: 7 << 12,
  /** Correctable, non-fatal, fatal, unsupported requests. */
  errorReports: 0xf,
  /** Relaxed ordering, extended tags, auxiliary power, no snoop. */
  ordersAndTags: (1 << 4) | (1 << 8) | (1 << 10) | (1 << 11),
  functionReset: 1 << 15,
  deviceCapabilities: 4,
  canReset: 1 << 28,
  linkControl: 0x10,
  deviceControl2: 0x28,
  alternativeRouting: 1 << 5,
  /** Of device control 2: ordering by id of requests and completions, blocking of end-to-end TLP prefixes. */
  ordersAndPrefixes: (1 << 8) | (1 << 9) | (1 << 15),
} as const;

const MODEL = "use a device that does: real hardware, or vfio-selftests lab run -d model:capabilities";

/** PCI Express: sizes, error reports and the function-level reset (vfio_exp_config_write). */
export function expressTests({ device, place, withPhysical }: CapabilityRig): void {
  describe("express", () => {
    const withControl = (use: (control: number, before: number, physical: PhysicalConfig) => void): void => {
      const control = place(PciCapabilityId.pciExpress) + EXPRESS.deviceControl;
      withPhysical((physical) => {
        const before = device().config.read16(control);
        try {
          use(control, before, physical);
        } finally {
          device().config.write16(control, before);
        }
      });
    };

    /** Skips the test where the device itself does not keep these bits. */
    const requireKept = (physical: PhysicalConfig, control: number, bits: number): void => {
      const before = physical.read16(control);
      physical.write16(control, before ^ bits);
      const kept = physical.read16(control) === (before ^ bits);
      physical.write16(control, before);
      if (!kept) skip({ reason: `the device does not keep bits 0x${bits.toString(16)}`, remedy: MODEL });
    };

    it("payload_size_is_the_users", () => {
      withControl((control, before, physical) => {
        const { config } = device();
        const real = physical.read16(control) & EXPRESS.payload;
        config.write16(control, before ^ (2 << 5));
        expect(config.read16(control) & EXPRESS.payload).toBe((before ^ (2 << 5)) & EXPRESS.payload);
        expect(physical.read16(control) & EXPRESS.payload).toBe(real);
      });
    });

    it("read_request_size_goes_to_the_device_when_large_enough", () => {
      withControl((control, before, physical) => {
        const { config } = device();
        const shown = (register: number) => (register & EXPRESS.readRequest) >> 12;
        const payload = (physical.read16(control) & EXPRESS.payload) >> 5;
        const write = (size: number) => {
          config.write16(control, (before & ~EXPRESS.readRequest) | (size << 12));
        };
        // vfio_exp_config_write: the user sees what was written, the device gets at least its payload size.
        for (const size of [3, 5, 0]) {
          write(size);
          expect([size, shown(config.read16(control))]).toEqual([size, size]);
        }
        requireKept(physical, control, EXPRESS.readRequest);
        for (const size of [3, 5, 1, 2, 0, 2]) {
          write(size);
          expect([size, shown(physical.read16(control))]).toEqual([size, Math.max(size, payload)]);
        }
      });
    });

    it("phantom_functions_stay_off", () => {
      withControl((control, before, physical) => {
        const { config } = device();
        config.write16(control, before | EXPRESS.phantom);
        expect((config.read16(control) | physical.read16(control)) & EXPRESS.phantom).toBe(0);
      });
    });

    /** A write of the other value of these bits, and back, by the user: the device and the user see it. */
    const expectChanges = (physical: PhysicalConfig, register: number, bits: number): void => {
      const { config } = device();
      const [seen, real] = [config.read16(register), physical.read16(register)];
      physical.write16(register, real ^ bits);
      const kept = physical.read16(register) ^ real;
      physical.write16(register, real);
      if (kept === 0) skip({ reason: "the device keeps none of the bits", remedy: MODEL });
      try {
        for (const change of [kept, 0]) {
          config.write16(register, seen ^ change);
          expect([config.read16(register), physical.read16(register)]).toEqual([seen ^ change, real ^ change]);
        }
      } finally {
        physical.write16(register, real);
      }
    };

    it("error_reports_go_to_the_device", () => {
      withControl((control, _, physical) => {
        expectChanges(physical, control, EXPRESS.errorReports);
      });
    });

    it("orders_and_tags_go_to_the_device", () => {
      withControl((control, _, physical) => {
        expectChanges(physical, control, EXPRESS.ordersAndTags);
      });
    });

    it("second_control_register_goes_to_the_device", () => {
      withPhysical((physical) => {
        const control = place(PciCapabilityId.pciExpress) + EXPRESS.deviceControl2;
        expectChanges(physical, control, EXPRESS.ordersAndPrefixes);
      });
    });

    it("function_reset_resets_and_reads_as_zero", () => {
      withControl((control, before, physical) => {
        const { config } = device();
        const express = control - EXPRESS.deviceControl;
        if ((physical.read32(express + EXPRESS.deviceCapabilities) & EXPRESS.canReset) === 0) {
          skip({ reason: "the device has no function-level reset", remedy: "use QEMU's igb: vfio-selftests lab run" });
        }
        const { bar, offset } = scratchRegistersOf(device());
        const registers = device().bar(bar);
        config.busMaster = true;
        registers.write32(offset, 0x5afe);
        expect(registers.read32(offset)).toBe(0x5afe);
        config.write16(control, before | EXPRESS.functionReset);
        expect(config.read16(control) & EXPRESS.functionReset).toBe(0);
        expect(registers.read32(offset)).toBe(0);
        expect(config.busMaster).toBe(true);
        config.busMaster = false;
      });
    });

    it("link_control_takes_no_write", () => {
      withPhysical((physical) => {
        const link = place(PciCapabilityId.pciExpress) + EXPRESS.linkControl;
        const before = physical.read16(link);
        device().config.write16(link, before ^ 0x00c3);
        expect([device().config.read16(link), physical.read16(link)]).toEqual([before, before]);
      });
    });

    it("alternative_routing_takes_no_write", () => {
      withPhysical((physical) => {
        const control = place(PciCapabilityId.pciExpress) + EXPRESS.deviceControl2;
        const before = physical.read16(control);
        device().config.write16(control, before ^ EXPRESS.alternativeRouting);
        expect(physical.read16(control)).toBe(before);
      });
    });
  });
}
