import { vfio_device_bind_iommufd, vfio_group_status } from "@vfio-selftests/core/uapi";
import type { KernelFileAccess } from "@vfio-selftests/iommu-modes";
import { askKernel } from "./ask-kernel";

/** A file that keeps the bytes of the last request. */
function recordingFile(): { readonly file: KernelFileAccess; readonly passed: () => Uint8Array } {
  let argument: unknown;
  const attempt = (request: { readonly argument?: unknown }) => {
    argument = request.argument;
    return 0;
  };
  return { file: { attempt } as unknown as KernelFileAccess, passed: () => argument as Uint8Array };
}

describe("askKernel", () => {
  it("passes fewer bytes than the layout has, and says so in the first field", () => {
    const { file, passed } = recordingFile();
    askKernel(file, { ASK: 1 }, vfio_device_bind_iommufd, { iommufd: 7 }, { bytes: 16 });
    expect([...new Uint32Array(passed().slice().buffer)]).toEqual([16, 0, 7, 0]);
  });

  it("puts data behind the structure", () => {
    const { file, passed } = recordingFile();
    askKernel(file, { ASK: 1 }, vfio_group_status, { flags: 5 }, { data: Uint32Array.of(9) });
    expect([...new Uint32Array(passed().slice().buffer)]).toEqual([12, 5, 9]);
  });

  it("says another size than it passes where told to", () => {
    const { file, passed } = recordingFile();
    askKernel(file, { ASK: 1 }, vfio_group_status, {}, { said: 3 });
    expect([...passed()]).toEqual([3, 0, 0, 0, 0, 0, 0, 0]);
  });
});
