import { OwnedDescriptor } from "@vfio-selftests/core/backend";
import { readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  VFIO_DEVICE_BIND_IOMMUFD,
  vfio_device_bind_iommufd,
  vfio_device_feature_dma_logging_control,
  vfio_device_feature_dma_logging_range,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT as LOGGING_REPORT,
  vfio_device_feature_dma_logging_report,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START as LOGGING_START,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP as LOGGING_STOP,
  VFIO_DEVICE_FEATURE_GET as GET,
  VFIO_DEVICE_FEATURE_MIG_DATA_SIZE as DATA_SIZE,
  VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE as DEVICE_STATE,
  VFIO_DEVICE_FEATURE_MIGRATION as MIGRATION,
  VFIO_DEVICE_FEATURE_PROBE as PROBE,
  VFIO_DEVICE_FEATURE_SET as SET,
  VFIO_DEVICE_RESET,
  VFIO_MIG_GET_PRECOPY_INFO,
  VFIO_MIGRATION_P2P,
  VFIO_MIGRATION_PRE_COPY,
  VFIO_MIGRATION_STOP_COPY,
} from "@vfio-selftests/core/uapi";
import { requireMode, skip } from "@vfio-selftests/harness";
import { KernelFile, realKernel } from "@vfio-selftests/iommu-modes";
import { native } from "@vfio-selftests/native";
import { MediatedDevice } from "../rigs/mediated/mediated-device";
import { DATA, FIFO_CONTROL, FIFO_ON, IDLE, LINE_STATUS, SCRATCH, SerialCard } from "../rigs/mediated/serial-card";
import { askKernel, askPlainly, outcome } from "../rigs/raw/ask-kernel";
import { IommufdFile } from "../rigs/raw/iommufd-files";
import type { SuiteTarget } from "../suite-target";

/** enum vfio_device_mig_state */
const ERROR = 0;
const STATES = {
  STOP: 1,
  RUNNING: 2,
  STOP_COPY: 3,
  RESUMING: 4,
  RUNNING_P2P: 5,
  PRE_COPY: 6,
  PRE_COPY_P2P: 7,
} as const;
type State = keyof typeof STATES;
const { STOP, RUNNING, STOP_COPY, RESUMING, PRE_COPY } = STATES;
/** Since Linux 7.3 */
const PRECOPY_INFO_V2 = 12;
/** States in which the device's data go through a file. */
const WITH_FILE: readonly State[] = ["STOP_COPY", "RESUMING", "PRE_COPY", "PRE_COPY_P2P"];
const PRE_COPYING: readonly State[] = ["PRE_COPY", "PRE_COPY_P2P"];
/** struct mtty_data before the ports. */
const HEADER = 24;
const MOST_RANGES = 256;
const PAGE = 4096n;
const FILL = 0xa5;

/** What a device does to move to another machine: states, the files between them, tracked writes. On the kernel's sample device. */
export function deviceMigrationSuite(target: SuiteTarget): void {
  const mode = target.modes.find(({ traits }) => traits.api === "iommufd" && traits.container === undefined);
  if (mode === undefined) return;

  describe("vfio_migration", () => {
    requireMode(mode);

    it("tells_what_it_can", () => {
      using rig = new MigrationRig();
      const { code, payload } = rig.card.feature(MIGRATION | GET, new Uint8Array(8));
      const flags = BigInt(VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P | VFIO_MIGRATION_PRE_COPY);
      expect([code, payload.getBigUint64(0, true)]).toEqual(["ok", flags]);
      expect(rig.state()).toEqual({ code: "ok", state: RUNNING, fd: -1 });
      const size = rig.card.feature(DATA_SIZE | GET, new Uint8Array(8));
      expect([size.code, size.payload.getBigUint64(0, true) > BigInt(HEADER)]).toEqual(["ok", true]);
    });

    describe("state", () => {
      for (const from of Object.keys(STATES) as State[]) {
        it(`goes_from_${from.toLowerCase()}`, () => {
          const saved = savedState();
          for (const to of Object.keys(STATES) as State[]) {
            using rig = new MigrationRig();
            rig.go(STATES[from]);
            if (from === "RESUMING") rig.fill(saved);
            const { code, fd } = rig.setState(STATES[to]);
            const blocked = from === "STOP_COPY" && PRE_COPYING.includes(to);
            const opens = !blocked && from !== to && WITH_FILE.includes(to) && !continues(from, to);
            expect([from, to, code, fd >= 0]).toEqual([from, to, blocked ? "EINVAL" : "ok", opens]);
            expect(rig.state().state).toBe(STATES[blocked ? from : to]);
          }
        });
      }

      it("is_never_one_that_does_not_exist", () => {
        using rig = new MigrationRig();
        for (const state of [ERROR, 8, 0xffff_ffff]) {
          expect(rig.setState(state)).toEqual({ code: "EINVAL", state, fd: -1 });
          expect(rig.state().state).toBe(RUNNING);
        }
      });

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
      const size = card.feature(DATA_SIZE | GET, new Uint8Array(8)).payload.getBigUint64(0, true);
      expect(saved.length).toBe(Number(size));

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
      expect(precopyInfo(rig, file)).toEqual({ code: "ok", initial: BigInt(HEADER), dirty: 0n });
      const header = readAll(file);
      expect(header.length).toBe(HEADER);
      expect(precopyInfo(rig, file)).toEqual({ code: "ok", initial: 0n, dirty: 0n });
      rig.card.write(1, SCRATCH, 0x3c);
      // The same file goes on.
      expect(rig.setState(STOP_COPY)).toEqual({ code: "ok", state: STOP_COPY, fd: -1 });
      expect(precopyInfo(rig, file).code).toBe("EINVAL");
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
      expect(precopyInfo(rig, file, 16).code).toBe("EINVAL");
      expect(askPlainly(rig.own(file), { VFIO_DEVICE_RESET }, new Uint8Array(24))).toBe("ENOTTY");
      expect(precopyInfo(rig, file, 24).code).toBe("ok");
    });

    it("takes_up_the_second_form_of_precopy", () => {
      using rig = new MigrationRig();
      expect(rig.card.feature(PRECOPY_INFO_V2 | GET).code).toBe("EINVAL");
      expect(rig.card.feature(PRECOPY_INFO_V2 | SET | PROBE).code).toBe("ok");
      expect(rig.card.feature(PRECOPY_INFO_V2 | SET).code).toBe("ok");
      expect(precopyInfo(rig, rig.go(PRE_COPY)).initial).toBe(BigInt(HEADER));
    });

    it("refuses_data_that_are_not_its_own", () => {
      const saved = savedState();
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

  describe("vfio_dma_logging", () => {
    requireMode(mode);

    const range = (iova: bigint, length: bigint): bigint[] => [iova, length];
    const started: Readonly<Record<string, readonly [code: string, ranges: readonly bigint[], values?: object]>> = {
      one_range: ["ok", range(0n, PAGE)],
      adjacent_ranges: ["ok", [...range(PAGE, PAGE), ...range(0n, PAGE)]],
      as_many_ranges_as_fit_a_page: ["ok", ranges(MOST_RANGES)],
      one_range_more: ["E2BIG", ranges(MOST_RANGES + 1)],
      no_range: ["EINVAL", []],
      start_between_pages: ["EINVAL", range(512n, PAGE)],
      length_between_pages: ["EINVAL", range(0n, PAGE + 512n)],
      second_range_between_pages: ["EINVAL", [...range(0n, PAGE), ...range(2n * PAGE, 1n)]],
      overlapping_ranges: ["EINVAL", [...range(0n, 2n * PAGE), ...range(PAGE, PAGE)]],
      end_beyond_64_bits: ["EOVERFLOW", range(-PAGE, 2n * PAGE)],
    };
    for (const [name, [code, given]] of Object.entries(started)) {
      it(`${code === "ok" ? "takes" : "refuses"}_${name}`, () => {
        using rig = new MigrationRig();
        expect(start(rig.card, given)).toBe(code);
        expect(rig.card.feature(LOGGING_STOP | SET).code).toBe("ok");
      });
    }

    it("refuses_ranges_that_cannot_be_read", () => {
      using rig = new MigrationRig();
      const { fields, size } = vfio_device_feature_dma_logging_control;
      const data = new DataView(new ArrayBuffer(size));
      data.setBigUint64(fields.page_size.offset, PAGE, true);
      data.setUint32(fields.num_ranges.offset, 1, true);
      data.setBigUint64(fields.ranges.offset, 8n, true);
      expect(rig.card.feature(LOGGING_START | SET, new Uint8Array(data.buffer)).code).toBe("EFAULT");
    });

    const reports: Readonly<Record<string, readonly [code: string, iova: bigint, length: bigint, pageSize: bigint]>> = {
      written_pages: ["ok", 0n, 64n * PAGE, PAGE],
      larger_pages: ["ok", 0n, 64n * PAGE, 4n * PAGE],
      pages_below_4_kib: ["EINVAL", 0n, 64n * PAGE, 2048n],
      pages_of_no_power_of_two: ["EINVAL", 0n, 64n * PAGE, 3n * PAGE],
      end_beyond_64_bits: ["EOVERFLOW", -PAGE, 2n * PAGE, PAGE],
    };
    for (const [name, [code, iova, length, pageSize]] of Object.entries(reports)) {
      it(`${code === "ok" ? "reports" : "reports_no"}_${name}`, () => {
        using rig = new MigrationRig();
        expect(start(rig.card, range(0n, 64n * PAGE))).toBe("ok");
        const bitmap = new Uint8Array(8).fill(FILL);
        expect(report(rig.card, iova, length, pageSize, bitmap)).toBe(code);
        // A device that makes no DMA has written nothing, and what the caller's bitmap held stays.
        expect([...bitmap]).toEqual(Array.from({ length: 8 }, () => FILL));
      });
    }

    it("refuses_malformed_requests", () => {
      using rig = new MigrationRig();
      const ask = (flags: number, size: number) => rig.card.feature(flags, new Uint8Array(size)).code;
      const { size: control } = vfio_device_feature_dma_logging_control;
      const { size: asked } = vfio_device_feature_dma_logging_report;
      expect([ask(LOGGING_START | GET, control), ask(LOGGING_START | SET, control - 1)]).toEqual(["EINVAL", "EINVAL"]);
      expect([ask(LOGGING_STOP | GET, 0), ask(LOGGING_STOP | SET | PROBE, 0)]).toEqual(["EINVAL", "ok"]);
      expect([ask(LOGGING_REPORT | SET, asked), ask(LOGGING_REPORT | GET, asked - 1)]).toEqual(["EINVAL", "EINVAL"]);
      expect([ask(LOGGING_START | SET | PROBE, control), ask(LOGGING_REPORT | GET | PROBE, asked)]).toEqual([
        "ok",
        "ok",
      ]);
    });
  });
}

/** A card with two ports, opened by its own file. */
class MigrationRig implements Disposable {
  readonly card: SerialCard;
  readonly #device: MediatedDevice;
  readonly #iommufd: IommufdFile;
  readonly #files: OwnedDescriptor[] = [];
  #last = -1;

  constructor() {
    // First, because it skips the test where there is none.
    this.#device = new MediatedDevice(2);
    this.#iommufd = new IommufdFile();
    const file = this.#device.openCdev();
    const values = { iommufd: this.#iommufd.file.descriptor("VFIO_DEVICE_BIND_IOMMUFD") };
    const options = { said: vfio_device_bind_iommufd.fields.token_uuid_ptr.offset };
    expect(askKernel(file, { VFIO_DEVICE_BIND_IOMMUFD }, vfio_device_bind_iommufd, values, options).code).toBe("ok");
    this.card = new SerialCard(file);
  }

  /** The device's. */
  get name(): string {
    return this.#device.uuid;
  }

  state(): { code: string; state: number; fd: number } {
    return stateOf(this.card.feature(DEVICE_STATE | GET, new Uint8Array(8)));
  }

  setState(state: number): { code: string; state: number; fd: number } {
    const data = new Uint8Array(Int32Array.of(state, -1).buffer);
    const answer = stateOf(this.card.feature(DEVICE_STATE | SET, data));
    if (answer.fd >= 0) this.#files.push(new OwnedDescriptor(answer.fd, "migration data"));
    if (answer.fd >= 0) this.#last = answer.fd;
    return answer;
  }

  /** Goes there; gives the descriptor of the data, if there is one. */
  go(state: number): number {
    const { code, fd } = this.setState(state);
    expect(code).toBe("ok");
    return fd;
  }

  reset(): string {
    return askPlainly(this.card.file, { VFIO_DEVICE_RESET });
  }

  /** Writes to the last file that a state gave. */
  tryFill(bytes: Uint8Array): number | string {
    return outcome(native.write(this.#last, bytes));
  }

  fill(bytes: Uint8Array): void {
    expect(this.tryFill(bytes)).toBe(bytes.length);
  }

  /** A descriptor of the rig's, for an ioctl. */
  own(descriptor: number): KernelFile {
    const copy = native.dup(descriptor);
    const file = new KernelFile(realKernel, copy, "migration data");
    this.#files.push(file);
    return file;
  }

  [Symbol.dispose](): void {
    for (const file of this.#files) file.close();
    this.card[Symbol.dispose]();
    this.#iommufd[Symbol.dispose]();
    this.#device.remove();
  }
}

function stateOf({ code, payload }: ReturnType<SerialCard["feature"]>): { code: string; state: number; fd: number } {
  return { code, state: payload.getUint32(0, true), fd: payload.getInt32(4, true) };
}

/** The file of the copy in advance stays until the copy ends. */
function continues(from: State, to: State): boolean {
  return PRE_COPYING.includes(from) && (PRE_COPYING.includes(to) || to === "STOP_COPY");
}

/** What a card sends that did nothing yet. */
function savedState(): Uint8Array {
  using rig = new MigrationRig();
  return readAll(rig.go(STOP_COPY));
}

function readAll(descriptor: number): Uint8Array {
  const parts: Uint8Array[] = [];
  for (;;) {
    const bytes = new Uint8Array(16);
    const count = native.read(descriptor, bytes);
    if (count < 0) throw new Error(`read: ${outcome(count)}`);
    if (count === 0) return Buffer.concat(parts);
    parts.push(bytes.subarray(0, count));
  }
}

function precopyInfo(
  rig: MigrationRig,
  descriptor: number,
  said = 24,
): { code: string; initial: bigint; dirty: bigint } {
  const info = new DataView(new ArrayBuffer(24));
  info.setUint32(0, said, true);
  const code = askPlainly(rig.own(descriptor), { VFIO_MIG_GET_PRECOPY_INFO }, new Uint8Array(info.buffer));
  return { code, initial: info.getBigUint64(8, true), dirty: info.getBigUint64(16, true) };
}

function ranges(count: number): bigint[] {
  return Array.from({ length: count }, (_, index) => [BigInt(index) * 2n * PAGE, PAGE]).flat();
}

/** VFIO_DEVICE_FEATURE_DMA_LOGGING_START of these pairs of IOVA and length. */
function start(card: SerialCard, pairs: readonly bigint[]): string {
  const { fields, size } = vfio_device_feature_dma_logging_control;
  const control = new DataView(new ArrayBuffer(size));
  const bytes = new Uint8Array(BigUint64Array.from(pairs.map((value) => BigInt.asUintN(64, value))).buffer);
  control.setBigUint64(fields.page_size.offset, PAGE, true);
  control.setUint32(fields.num_ranges.offset, bytes.length / vfio_device_feature_dma_logging_range.size, true);
  const links = bytes.length === 0 ? {} : { [fields.ranges.offset]: bytes };
  return card.feature(LOGGING_START | SET, new Uint8Array(control.buffer), links).code;
}

function report(card: SerialCard, iova: bigint, length: bigint, pageSize: bigint, bitmap: Uint8Array): string {
  const { fields, size } = vfio_device_feature_dma_logging_report;
  const asked = new DataView(new ArrayBuffer(size));
  asked.setBigUint64(fields.iova.offset, BigInt.asUintN(64, iova), true);
  asked.setBigUint64(fields.length.offset, length, true);
  asked.setBigUint64(fields.page_size.offset, pageSize, true);
  return card.feature(LOGGING_REPORT | GET, new Uint8Array(asked.buffer), { [fields.bitmap.offset]: bitmap }).code;
}
