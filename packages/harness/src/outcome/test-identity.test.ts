import { identify } from "./test-identity";

describe("identify", () => {
  it.each([
    [["f", "iommufd_compat_type1v2_anonymous", "t"], "iommufd_compat_type1v2", "anonymous"],
    [["f", "iommufd_compat_type1_anonymous", "t"], "iommufd_compat_type1", "anonymous"],
    [["f", "iommufd_anonymous", "t"], "iommufd", "anonymous"],
    [["f", "vfio-user", "t"], "vfio-user", undefined],
    [["f", "iommufd_compat_type1", "block", "t"], "iommufd_compat_type1", "block"],
    [["f", "msix", "t"], undefined, "msix"],
    [["f", "t"], undefined, undefined],
  ])("finds mode and flavour of %j", (titles, mode, flavour) => {
    expect(identify(titles)).toMatchObject({ id: titles.join("."), fixture: "f", test: "t", mode, flavour });
  });

  it.each(["0000:6a:01.0", "vfio-user:/run/x.sock", "model:dsa", "/dev/zero"])(
    "takes %s as the device, not as part of the id",
    (device) => {
      expect(identify([device, "vfio_cdev", "bind"])).toMatchObject({
        id: "vfio_cdev.bind",
        device,
        fixture: "vfio_cdev",
      });
    },
  );
});
