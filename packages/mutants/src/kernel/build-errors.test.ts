import { parseBuildErrors } from "./build-errors";

test("an error is told with its place and function, and with the places whose macros it is in", () => {
  const output = [
    "../src/drivers/vfio/group.c: In function ‘vfio_group_fops_open’:",
    "../src/drivers/vfio/group.c:120:25: error: void value not ignored as it ought to be",
    "  120 |         ret = (mutant(3) ? (0) : (vfio_x(a)));",
    "In file included from ../src/include/linux/kernel.h:16,",
    "                 from ../src/drivers/vfio/group.c:12:",
    '../src/include/linux/build_bug.h:78:41: error: static assertion failed: "x"',
    "../src/drivers/vfio/group.c:130:9: note: in expansion of macro ‘static_assert’",
    "../src/drivers/vfio/group.c:140:9: warning: unused variable ‘x’",
    "../src/drivers/vfio/group.c:141:9: note: in expansion of macro ‘x’",
  ].join("\n");
  const places = parseBuildErrors(output).map(({ path, line }) => `${path ?? ""}:${line ?? ""}`);
  expect(places).toEqual([
    "../src/drivers/vfio/group.c:120",
    "../src/include/linux/build_bug.h:78",
    "../src/drivers/vfio/group.c:130",
  ]);
  expect(parseBuildErrors(output)[0]?.function).toBe("vfio_group_fops_open");
});

test("what the linker misses is told with the function that wants it", () => {
  const output = [
    "ld: vmlinux.o: in function `vfio_pci_open.part.0':",
    "vfio_pci.c:(.text+0x12): undefined reference to `vfio_pci_zdev_open'",
  ].join("\n");
  expect(parseBuildErrors(output)).toEqual([{ function: "vfio_pci_open" }]);
});
