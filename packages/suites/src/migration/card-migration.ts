import { readdirSync } from "node:fs";
import { readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  type StructLayout,
  VFIO_DEVICE_FEATURE,
  vfio_device_feature,
  VFIO_DEVICE_FEATURE_GET as GET,
  VFIO_DEVICE_FEATURE_MIG_DATA_SIZE as DATA_SIZE,
  vfio_device_feature_mig_data_size,
  VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE as DEVICE_STATE,
  VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2 as PRECOPY_INFO_V2,
  vfio_device_feature_mig_state,
  VFIO_DEVICE_FEATURE_MIGRATION as MIGRATION,
  vfio_device_feature_migration,
  VFIO_DEVICE_FEATURE_PROBE as PROBE,
  VFIO_DEVICE_FEATURE_SET as SET,
  VFIO_DEVICE_RESET,
  VFIO_DEVICE_STATE_PRE_COPY as PRE_COPY,
  VFIO_DEVICE_STATE_RESUMING as RESUMING,
  VFIO_DEVICE_STATE_RUNNING as RUNNING,
  VFIO_DEVICE_STATE_STOP as STOP,
  VFIO_DEVICE_STATE_STOP_COPY as STOP_COPY,
  VFIO_MIGRATION_P2P,
  VFIO_MIGRATION_PRE_COPY,
  VFIO_MIGRATION_STOP_COPY,
  vfio_precopy_info,
} from "@vfio-selftests/core/uapi";
import { requireMode, skip } from "@vfio-selftests/harness";
import { native } from "@vfio-selftests/native";
import { modesOf } from "../rigs/iommu/modes-of";
import { requireBrought } from "../rigs/kernel/brought-by-linux";
import { MigrationRig, readAll, untouchedState } from "../rigs/mediated/migration-rig";
import { DATA, FIFO_CONTROL, FIFO_ON, IDLE, LINE_STATUS, SCRATCH, type SerialCard } from "../rigs/mediated/serial-card";
import { askPlainly, bytesOf, outcome } from "../rigs/raw/ask-kernel";
import { ReadOnlyArgument } from "../rigs/raw/read-only-argument";
import type { SuiteTarget } from "../suite-target";
import { stateRules, STATES } from "./state-rules";

/** struct mtty_data before the ports. */
const HEADER = 24;

/** What a device does to move to another machine: states, and the files between them. On the kernel's sample device. */
export function deviceMigrationSuite(target: SuiteTarget): void {
  const [mode] = modesOf(target, "iommufd");
  if (mode === undefined) return;

  describe("vfio_migration", () => {
    requireMode(mode);

    it("tells_what_it_can", () => {
      using rig = new MigrationRig();
      const layout = vfio_device_feature_migration;
      const { code, payload } = rig.card.feature(MIGRATION | GET, layout.allocate().bytes);
      const flags = BigInt(VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P | VFIO_MIGRATION_PRE_COPY);
      expect([code, layout.fields.flags.get(layout.copyOf(payload))]).toEqual(["ok", flags]);
      expect(rig.state()).toEqual({ code: "ok", state: RUNNING, fd: -1 });
      expect(stopCopyLength(rig.card)).toBeGreaterThan(HEADER);
    });

    describe("state", () => {
      stateRules({ make: () => new MigrationRig(), saved: untouchedState, p2p: true, byFile: true });

      it("is_running_again_after_a_reset", () => {
        using rig = new MigrationRig();
        const file = rig.go(STOP_COPY);
        expect(rig.reset()).toBe("ok");
        expect(rig.state().state).toBe(RUNNING);
        // The data that were left are gone with it.
        expect(outcome(native.read(file, new Uint8Array(8)))).toBe("ENODEV");
      });
    });

    it("debugfs_tells_state_and_features", () => {
      using rig = new MigrationRig();
      const shown = (name: string) => readAttribute(systemPaths.sys("kernel/debug/vfio", rig.name, "migration", name));
      if (shown("features") === undefined) {
        skip({ reason: "debugfs shows no VFIO device", remedy: "mount debugfs; CONFIG_VFIO_DEBUGFS" });
      }
      expect(shown("features")).toBe("stop-copy\np2p\npre-copy\ndirty-tracking");
      for (const [state, number] of Object.entries(STATES)) {
        expect(rig.reset()).toBe("ok");
        rig.go(number);
        expect(shown("state")).toBe(state);
      }
    });

    it("moves_registers_and_bytes_to_another_device", () => {
      using source = new MigrationRig();
      const { card } = source;
      for (const port of [0, 1]) {
        card.write(port, FIFO_CONTROL, FIFO_ON);
        card.write(port, SCRATCH, 0xc0 + port);
        for (const byte of [1, 2, 3]) card.write(port, DATA, byte + 16 * port);
      }
      const saved = readAll(source.go(STOP_COPY));
      expect(saved.length).toBe(stopCopyLength(card));

      using destination = new MigrationRig();
      expect([...destination.card.read(0, LINE_STATUS)]).toEqual([IDLE]);
      destination.go(RESUMING);
      destination.fill(saved);
      expect(destination.setState(RUNNING).code).toBe("ok");
      for (const port of [0, 1]) {
        expect([...destination.card.read(port, SCRATCH)]).toEqual([0xc0 + port]);
        const bytes = [1, 2, 3].map(() => destination.card.read(port, DATA)[0]);
        expect(bytes).toEqual([1, 2, 3].map((byte) => byte + 16 * port));
        expect([...destination.card.read(port, LINE_STATUS)]).toEqual([IDLE]);
      }
      // The source has lost nothing.
      expect(source.setState(RUNNING).code).toBe("ok");
      expect([...card.read(0, DATA), ...card.read(1, SCRATCH)]).toEqual([1, 0xc1]);
    });

    it("sends_what_is_there_while_it_runs_and_the_rest_when_it_stops", () => {
      using rig = new MigrationRig();
      const file = rig.go(PRE_COPY);
      expect(rig.precopyInfo(file)).toEqual({ code: "ok", initial: BigInt(HEADER), dirty: 0n });
      const header = readAll(file);
      expect(header.length).toBe(HEADER);
      expect(rig.precopyInfo(file)).toEqual({ code: "ok", initial: 0n, dirty: 0n });
      rig.card.write(1, SCRATCH, 0x3c);
      // The same file goes on.
      expect(rig.setState(STOP_COPY)).toEqual({ code: "ok", state: STOP_COPY, fd: -1 });
      expect(rig.precopyInfo(file).code).toBe("EINVAL");
      const rest = readAll(file);
      expect(rig.setState(STOP).code).toBe("ok");
      expect(outcome(native.read(file, new Uint8Array(8)))).toBe("ENODEV");

      using destination = new MigrationRig();
      destination.go(RESUMING);
      destination.fill(Buffer.concat([header, rest]));
      expect(destination.setState(RUNNING).code).toBe("ok");
      expect([...destination.card.read(1, SCRATCH)]).toEqual([0x3c]);
    });

    it("tells_nothing_of_a_file_that_it_does_not_know", () => {
      using rig = new MigrationRig();
      const file = rig.go(PRE_COPY);
      expect(rig.precopyInfo(file, 16).code).toBe("EINVAL");
      expect(askPlainly(rig.ownCopy(file), { VFIO_DEVICE_RESET }, new Uint8Array(vfio_precopy_info.size))).toBe(
        "ENOTTY",
      );
      expect(rig.precopyInfo(file).code).toBe("ok");
    });

    it("takes_up_the_second_form_of_precopy", () => {
      using rig = new MigrationRig();
      requireBrought(
        "VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2",
        () => rig.card.feature(PRECOPY_INFO_V2 | SET | PROBE).code !== "ENOTTY",
      );
      expect(rig.card.feature(PRECOPY_INFO_V2 | GET).code).toBe("EINVAL");
      expect(rig.card.feature(PRECOPY_INFO_V2 | SET | PROBE).code).toBe("ok");
      expect(rig.card.feature(PRECOPY_INFO_V2 | SET).code).toBe("ok");
      expect(rig.precopyInfo(rig.go(PRE_COPY)).initial).toBe(BigInt(HEADER));
    });

    it("refuses_data_that_are_not_its_own", () => {
      const saved = untouchedState();
      using rig = new MigrationRig();
      rig.go(RESUMING);
      const foreign = Uint8Array.from(saved);
      foreign[0] = ~(foreign[0] ?? 0);
      expect(rig.tryFill(foreign)).toBe("EFAULT");
      expect(rig.reset()).toBe("ok");
      rig.go(RESUMING);
      rig.fill(saved.subarray(0, saved.length - 1));
      // Incomplete: it stays until the rest has come.
      expect(rig.setState(RUNNING).code).toBe("EINVAL");
      expect(rig.state().state).toBe(RESUMING);
      rig.fill(saved.subarray(saved.length - 1));
      expect(rig.tryFill(Uint8Array.of(0))).toBe("ENOMEM");
      expect(rig.setState(RUNNING).code).toBe("ok");
    });

    it("refuses_answers_that_cannot_be_written", () => {
      using rig = new MigrationRig();
      const ask = (flags: number, layout: StructLayout, values: object = {}): string => {
        const payload = bytesOf(layout, values);
        const argsz = vfio_device_feature.size + payload.length;
        const header = bytesOf(vfio_device_feature, { argsz, flags });
        using readOnly = new ReadOnlyArgument(Buffer.concat([header, payload]));
        return askPlainly(rig.card.file, { VFIO_DEVICE_FEATURE }, readOnly.address);
      };
      expect(ask(MIGRATION | GET, vfio_device_feature_migration)).toBe("EFAULT");
      expect(ask(DATA_SIZE | GET, vfio_device_feature_mig_data_size)).toBe("EFAULT");
      expect(ask(DEVICE_STATE | GET, vfio_device_feature_mig_state)).toBe("EFAULT");
      // The device has changed its state, and its file is gone, because nobody could be told of it.
      const before = readdirSync(systemPaths.proc("self", "fd")).length;
      const next = nextDescriptor();
      expect(ask(DEVICE_STATE | SET, vfio_device_feature_mig_state, { device_state: STOP_COPY })).toBe("EFAULT");
      expect([readdirSync(systemPaths.proc("self", "fd")).length, nextDescriptor()]).toEqual([before, next]);
      expect(rig.state().state).toBe(STOP_COPY);
      expect(rig.reset()).toBe("ok");
      expect(rig.state().state).toBe(RUNNING);
    });

    it("refuses_malformed_requests", () => {
      using rig = new MigrationRig();
      const ask = (flags: number, size = 8) => rig.card.feature(flags, new Uint8Array(size)).code;
      for (const feature of [MIGRATION, DATA_SIZE, DEVICE_STATE]) {
        expect([ask(feature | GET | PROBE), ask(feature), ask(feature | GET, 7)]).toEqual(["ok", "EINVAL", "EINVAL"]);
        expect(ask(feature | SET)).toBe("EINVAL");
      }
      expect([ask(MIGRATION | SET | PROBE), ask(DATA_SIZE | SET | PROBE)]).toEqual(["EINVAL", "EINVAL"]);
      expect(ask(DEVICE_STATE | SET | PROBE)).toBe("ok");
      expect(ask(DEVICE_STATE | SET | GET)).toBe("EINVAL");
      expect(rig.state().state).toBe(RUNNING);
    });
  });
}

/** Bytes that the device says it will send. */
function stopCopyLength(card: SerialCard): number {
  const layout = vfio_device_feature_mig_data_size;
  const { code, payload } = card.feature(DATA_SIZE | GET, layout.allocate().bytes);
  expect(code).toBe("ok");
  return Number(layout.fields.stop_copy_length.get(layout.copyOf(payload)));
}

/** The number that the next file of this process gets. */
function nextDescriptor(): number {
  const fd = native.memfdCreate("next", 0);
  expect(fd).toBeGreaterThanOrEqual(0);
  native.close(fd);
  return fd;
}
