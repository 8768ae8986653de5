import { constants } from "node:os";
import { Errno, errnoName } from "./errno";
import { remedyFor } from "./remedies";
import type * as errors from "./vfio-error";
import { argumentError, checkInteger, closedError, systemError, VfioError } from "./vfio-error";

describe("errno names", () => {
  it("agree with Node's, where Node has them", () => {
    const known = Object.entries(constants.errno).filter(([name]) => name in Errno);
    expect(known.length).toBeGreaterThan(70);
    for (const [name, number] of known) expect([name, Errno[name as keyof typeof Errno]]).toEqual([name, number]);
  });

  it("cover what Node lacks, and say the number of what nobody knows", () => {
    expect(errnoName(61)).toBe("ENODATA");
    expect(errnoName(125)).toBe("ECANCELED");
    expect(errnoName(133)).toBe("EHWPOISON");
    expect([errnoName(0), errnoName(41), errnoName(524)]).toEqual(["E0", "E41", "E524"]);
  });
});

describe("VfioError", () => {
  it("is an instance of the class in every copy of core", () => {
    let theirs: typeof errors | undefined;
    jest.isolateModules(() => (theirs = jest.requireActual<typeof errors>("./vfio-error")));
    expect(theirs?.VfioError).not.toBe(VfioError);
    expect(theirs?.closedError("map", "Iommu")).toBeInstanceOf(VfioError);
    class Own extends VfioError {}
    expect(theirs?.closedError("map", "Iommu")).not.toBeInstanceOf(Own);
    expect(new Own("mine", { code: "EIO", operation: "mine" })).toBeInstanceOf(Own);
    for (const other of [new Error("EIO"), { code: "EIO" }, null, "EIO"]) expect(other).not.toBeInstanceOf(VfioError);
  });

  it("tells what failed on what, with the code and the errno", () => {
    const error = systemError(-75, "VFIO_IOMMU_MAP_DMA", { subject: "IOVA 0x1000 + 4096" });
    expect(error).toBeInstanceOf(VfioError);
    expect(error.message).toBe("VFIO_IOMMU_MAP_DMA failed on IOVA 0x1000 + 4096: EOVERFLOW");
    expect(error).toMatchObject({ code: "EOVERFLOW", errno: 75, operation: "VFIO_IOMMU_MAP_DMA", remedy: undefined });
  });

  it("carries the known remedy, on a line of its own", () => {
    const error = systemError(-1, "VFIO_SET_IOMMU", { subject: "/dev/vfio/vfio" });
    expect(error.remedy).toContain("allow_unsafe_interrupts");
    expect(error.message).toBe(`VFIO_SET_IOMMU failed on /dev/vfio/vfio: EPERM\n  Remedy: ${error.remedy ?? ""}`);
  });

  it("prefers the remedy of who knows more", () => {
    expect(systemError(-16, "open", { subject: "/dev/vfio/5", remedy: "stop process 7" }).remedy).toBe(
      "stop process 7",
    );
  });

  it("names the value and what is allowed", () => {
    expect(argumentError("map", "iova", 0x1001n, "multiples of 4096").message).toBe(
      "map: iova is 0x1001; allowed: multiples of 4096",
    );
    expect(() => checkInteger("msix.enable", "first", 2.5, 0, 7)).toThrow(
      "first is 2.5; allowed: an integer from 0 to 7",
    );
    expect(checkInteger("msix.enable", "first", 7, 0, 7)).toBe(7);
    expect(closedError("map", "Iommu iommufd")).toMatchObject({
      code: "ERR_CLOSED",
      message: "map: Iommu iommufd is closed",
    });
  });
});

describe("remedies", () => {
  it.each([
    ["open", "ENOENT", "/dev/iommu", "CONFIG_IOMMUFD"],
    ["open", "ENOENT", "/dev/vfio/vfio", "CONFIG_VFIO_CONTAINER"],
    ["open", "ENOENT", "/dev/vfio/7", "vfio-selftests bind"],
    ["open", "EACCES", "/dev/vfio/7", "root"],
    ["VFIO_IOMMU_MAP_DMA", "ENOMEM", "IOVA 0x0", "ulimit -l"],
    ["IOMMU_IOAS_MAP", "ENOMEM", "IOVA 0x0", "ulimit -l"],
    ["VFIO_GROUP_GET_DEVICE_FD", "EACCES", "0000:01:00.0", "vfToken"],
    ["VFIO_DEVICE_RESET", "EAGAIN", "0000:01:00.0", "try again"],
  ])("%s %s on %s says what to do", (operation, code, subject, expected) => {
    expect(remedyFor(operation, code, subject)).toContain(expected);
  });

  it("are silent where the caller made the mistake", () => {
    expect(remedyFor("VFIO_IOMMU_MAP_DMA", "EINVAL", "IOVA 0x1")).toBeUndefined();
  });
});
