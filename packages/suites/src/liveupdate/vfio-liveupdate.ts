import { Errno, VfioError } from "@vfio-selftests/core/errors";
import { VFIO_DEVICE_GET_INFO, vfio_device_info } from "@vfio-selftests/core/uapi";
import { eachMode, fixture, skip, type SkipReason } from "@vfio-selftests/harness";
import {
  KernelFile,
  type KernelFileAccess,
  type LiveUpdate,
  type LiveUpdateSession,
  realKernel,
} from "@vfio-selftests/iommu-modes";
import { keepSession } from "../rigs/liveupdate/keep-session";
import { openLiveUpdate } from "../rigs/liveupdate/require-live-update";
import { liveUpdateStages } from "../rigs/liveupdate/stages";
import { askKernel } from "../rigs/raw/ask-kernel";
import { AttachedSpace } from "../rigs/raw/attached-space";
import { GroupFiles } from "../rigs/raw/group-files";
import { DeviceFile, IommufdFile } from "../rigs/raw/iommufd-files";
import type { SuiteTarget } from "../suite-target";

const SESSION = "vfio_pci_liveupdate_kexec_test";
const TOKEN = 1n;

const NOT_PRESERVED: SkipReason = {
  reason: "this kernel's vfio-pci hands no device over: it registers no file handler with the Live Update Orchestrator",
  remedy:
    'use a kernel with the posted series "vfio/pci: Base Live Update support" (CONFIG_VFIO_PCI_LIVEUPDATE); Linux 7.3 is without it',
};

/** The tests of the posted upstream series, by its ids: a device's own file is handed to the next kernel, and nothing else is. */
export function vfioLiveUpdateSuite(target: SuiteTarget): void {
  fixture("vfio_pci_liveupdate_uapi_test", target, (address) => {
    eachMode(target, (mode) => {
      const { container } = mode.traits;

      it("preserve_device", () => {
        using liveUpdate = openLiveUpdate();
        using session = liveUpdate.createSession("session");
        if (container === undefined) {
          using space = new AttachedSpace(address);
          preserveDevice(session, space.device.file);
          return;
        }
        using files = new GroupFiles(mode, address);
        expect([files.setContainer(), files.setIommu()]).toEqual(["ok", "ok"]);
        using device = files.openDevice();
        expect(answerFor(session, device)).toBe(-Errno.ENOENT);
      });

      for (const name of ["group", "container"] as const) {
        it(`preserve_${name}_fails`, () => {
          if (container === undefined) {
            skip({ reason: `mode ${mode.name} has no ${name}`, remedy: "run the test in a mode on a container" });
          }
          using liveUpdate = openLiveUpdate();
          using session = liveUpdate.createSession("session");
          using files = new GroupFiles(mode, address);
          expect([files.setContainer(), files.setIommu()]).toEqual(["ok", "ok"]);
          expect(answerFor(session, files[name])).toBe(-Errno.ENOENT);
        });
      }
    });
  });

  fixture("vfio_pci_liveupdate_kexec_test", target, (address) => {
    liveUpdateStages(target, {
      before: () => {
        it("preserve_device", () => {
          using liveUpdate = openLiveUpdate();
          using session = liveUpdate.createSession(SESSION);
          using space = new AttachedSpace(address);
          preserveDevice(session, space.device.file);
          keepSession(session);
        });
      },
      after: () => {
        it("retrieve_device", () => {
          using liveUpdate = openLiveUpdate();
          using session = retrieveSession(liveUpdate, address);
          // A device that nobody took over keeps its session from its end.
          expect(() => session.finish()).toThrow(VfioError);
          using preserved = session.retrieve(TOKEN);
          using device = new DeviceFile(KernelFile.copyOf(realKernel, preserved.descriptor("dup"), address));
          using iommufd = new IommufdFile();
          expect([device.bind(iommufd).code, device.attach(iommufd.newIoas()).code]).toEqual(["ok", "ok"]);
          expect(askKernel(device.file, { VFIO_DEVICE_GET_INFO }, vfio_device_info, {}).code).toBe("ok");
          session.finish();
        });
      },
    });
  });
}

/** The answer of LIVEUPDATE_SESSION_PRESERVE_FD: 0 or `-errno`. */
function answerFor(session: LiveUpdateSession, file: KernelFileAccess): number {
  try {
    session.preserve(file.descriptor("preserve"), TOKEN);
    return 0;
  } catch (error) {
    if (error instanceof VfioError && error.errno !== undefined) return -error.errno;
    throw error;
  }
}

/** Preserves a device's own file. Skips the test on a kernel whose VFIO cannot be preserved. */
function preserveDevice(session: LiveUpdateSession, file: KernelFileAccess): void {
  const answer = answerFor(session, file);
  if (answer === -Errno.ENOENT) skip(NOT_PRESERVED);
  expect(answer).toBe(0);
}

/** The session of the kernel before. Where that has none, this kernel's VFIO must be one that cannot be preserved. */
function retrieveSession(liveUpdate: LiveUpdate, address: string): LiveUpdateSession {
  try {
    return liveUpdate.retrieveSession(SESSION);
  } catch (error) {
    using session = liveUpdate.createSession("probe");
    using space = new AttachedSpace(address);
    preserveDevice(session, space.device.file);
    throw error;
  }
}
