import { type IommuMode, KERNEL_MODE_NAMES } from "@vfio-selftests/core";
import { thrownBy } from "@vfio-selftests/core/testing";
import { FakeKernel } from "../testing/fake-kernel";
import { lendSpace, openLentSpace } from "./lent-space";
import { createModes } from "./modes";

const FIRST = "0000:02:01.0";
const SECOND = "0000:03:00.0";

describe.each(KERNEL_MODE_NAMES)("an address space of mode %s", (name) => {
  it("is lent to others, which open devices into it and give it back", () => {
    using kernel = new FakeKernel();
    kernel.addDevice(FIRST, 5);
    kernel.addDevice(SECOND, 6);
    const mode = createModes(kernel.environment).find((candidate) => candidate.name === name) as IommuMode;
    const backend = mode.open();
    const loan = lendSpace(backend);
    // Only plain data can go to another thread.
    const space = structuredClone(loan.space);
    const borrowed = [openLentSpace(space, kernel.environment), openLentSpace(space, kernel.environment)];
    loan[Symbol.dispose]();
    const devices = borrowed.map((one, index) => one.openDevice(index === 0 ? FIRST : SECOND));
    expect(devices.map(({ address }) => address)).toEqual([FIRST, SECOND]);
    for (const device of devices) device.close();
    for (const one of borrowed) one[Symbol.dispose]();
    backend.close();
    expect(kernel.kinds()).toEqual([]);
    expect(thrownBy(() => borrowed[0]?.openDevice(FIRST)).code).toBe("ERR_CLOSED");
    expect(thrownBy(() => openLentSpace(space, kernel.environment)).code).toBe("EBADF");
    expect(() => lendSpace(backend)).toThrow("is closed");
  });

  it("closes what a borrower left open", () => {
    using kernel = new FakeKernel();
    kernel.addDevice(FIRST, 5);
    const mode = createModes(kernel.environment).find((candidate) => candidate.name === name) as IommuMode;
    const backend = mode.open();
    const loan = lendSpace(backend);
    const borrowed = openLentSpace(loan.space, kernel.environment);
    loan[Symbol.dispose]();
    const device = borrowed.openDevice(FIRST);
    borrowed[Symbol.dispose]();
    borrowed[Symbol.dispose]();
    expect(thrownBy(() => device.reset()).code).toBe("ERR_CLOSED");
    backend.close();
    expect(kernel.kinds()).toEqual([]);
  });
});
