import { saysOff } from "./kernel-option";

const CONFIG = "CONFIG_VFIO=y\nCONFIG_VFIO_PCI=m\n# CONFIG_VFIO_PCI_DMABUF is not set\n";

test.each([
  ["CONFIG_VFIO", false],
  ["CONFIG_VFIO_PCI", false],
  ["CONFIG_VFIO_PCI_DMABUF", true],
  ["CONFIG_UNKNOWN", false],
])("%s is off: %s", (option, off) => {
  expect(saysOff(CONFIG, option)).toBe(off);
});

test("where nobody tells, nothing is off", () => {
  expect(saysOff(undefined, "CONFIG_VFIO")).toBe(false);
});
