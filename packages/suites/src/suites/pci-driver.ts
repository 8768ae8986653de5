import { VfioError } from "@vfio-selftests/core";
import { DriverBench } from "../driver-bench";
import { DEFAULT_TIMEOUT_MS, eachMode, fixture } from "../fixture";
import { assertNoInterrupt } from "../interrupt-assertions";
import { note } from "../outcome/note";
import { skip } from "../outcome/skip";
import type { SuiteTarget } from "../suite-target";

const STORM_TIMEOUT_MS = 60_000;
/** 90 s since Linux 7.4: with some devices every faulting copy ends in a reset. */
const MIX_TIMEOUT_MS = 90_000;
const GIB = 1024 ** 3;
const REPEATS = 10;

/** tools/testing/selftests/vfio/vfio_pci_driver_test.c */
export function pciDriverSuite(target: SuiteTarget): void {
  fixture("vfio_pci_driver_test", target, (address) => {
    eachMode(target, (mode) => {
      const open = () => DriverBench.open(target, mode, address);

      it(
        "init_remove",
        () => {
          using bench = open();
          for (let i = 0; i < REPEATS; i++) {
            bench.session.remove();
            bench.session.create();
          }
        },
        DEFAULT_TIMEOUT_MS,
      );

      it(
        "memcpy_success",
        () => {
          using bench = open();
          copyAndCompare(bench);
          bench.expectNoMsi();
        },
        DEFAULT_TIMEOUT_MS,
      );

      it(
        "memcpy_from_unmapped_iova",
        () => {
          using bench = open();
          ignoreDeviceError(() => bench.session.memcpySync(bench.unmapped, bench.destination.iova, bench.size));
          bench.expectNoMsi();
        },
        DEFAULT_TIMEOUT_MS,
      );

      it(
        "memcpy_to_unmapped_iova",
        () => {
          using bench = open();
          ignoreDeviceError(() => bench.session.memcpySync(bench.source.iova, bench.unmapped, bench.size));
          bench.expectNoMsi();
        },
        DEFAULT_TIMEOUT_MS,
      );

      it(
        "send_msi",
        () => {
          using bench = open();
          if (!bench.session.canSendMsi) {
            skip({
              reason: `driver ${bench.session.driver.name} cannot make its device raise an interrupt`,
              remedy: "use a device whose driver can",
            });
          }
          sendMsiOnce(bench);
        },
        DEFAULT_TIMEOUT_MS,
      );

      it(
        "mix_and_match",
        () => {
          using bench = open();
          for (let i = 0; i < REPEATS; i++) {
            copyAndCompare(bench);
            ignoreDeviceError(() => bench.session.memcpySync(bench.unmapped, bench.destination.iova, bench.size));
            if (bench.session.canSendMsi) sendMsiOnce(bench);
          }
        },
        MIX_TIMEOUT_MS,
      );

      it(
        "memcpy_storm",
        () => {
          using bench = open();
          const size = bench.oneCopy;
          const count = Math.min(Math.floor((250 * GIB) / size), bench.session.limits.maxMemcpyCount);
          note(`${count} copies of ${size} bytes`);
          bench.session.memcpyStart(bench.source.iova, bench.destination.iova, size, count);
          bench.session.memcpyWait({ timeoutMs: STORM_TIMEOUT_MS });
          bench.expectNoMsi();
        },
        STORM_TIMEOUT_MS,
      );
    });
  });
}

function copyAndCompare({ session, source, destination, size }: DriverBench): void {
  source.bytes.fill("x".charCodeAt(0));
  destination.bytes.fill("y".charCodeAt(0));
  session.memcpySync(source.iova, destination.iova, size);
  expect(Buffer.compare(destination.bytes, source.bytes)).toBe(0);
}

function sendMsiOnce({ session }: DriverBench): void {
  session.sendMsi();
  expect(session.msi.waitSync()).toBe(1n);
  assertNoInterrupt(session.msi);
}

/** Not every device reports a faulting copy: upstream asserts nothing of it (our own suite does, driver-contract.ts). */
function ignoreDeviceError(copy: () => void): void {
  try {
    copy();
  } catch (error) {
    if (!(error instanceof VfioError)) throw error;
  }
}
