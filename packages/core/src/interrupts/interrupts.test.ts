import fc from "fast-check";
import { VfioError } from "../errors/vfio-error";
import { FakeVfioDevice, type FakeVfioDeviceOptions } from "../testing/fake-vfio-device";
import { openDescriptors } from "../testing/open-descriptors";
import type { InterruptVector } from "./interrupt-vector";
import { Interrupts } from "./interrupts";

const devices: FakeVfioDevice[] = [];

function open(irqs: FakeVfioDeviceOptions["irqs"] = {}): { interrupts: Interrupts; device: FakeVfioDevice } {
  const device = new FakeVfioDevice({
    address: "0000:01:00.0",
    irqs: { 0: { count: 1 }, 1: { count: 4, noResize: true }, 2: { count: 16 }, 4: { count: 1 }, ...irqs },
  });
  devices.push(device);
  return { interrupts: new Interrupts(device), device };
}

afterEach(() => {
  for (const device of devices.splice(0)) device.close();
});

const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;

describe("MSI-X", () => {
  test("each vector's eventfd receives the device's interrupts of that vector only", async () => {
    const { interrupts, device } = open();
    interrupts.msix.enable(2, 3);
    expect(interrupts.msix.enabledVectors.map(({ vector }) => vector)).toEqual([2, 3, 4]);
    device.interrupts.raise(2, 3);
    device.interrupts.raise(2, 3);
    await expect(interrupts.msix.vector(3).wait({ timeoutMs: 1000 })).resolves.toBe(2n);
    expect(interrupts.msix.vector(2).tryRead()).toBeUndefined();
    expect(interrupts.msix.vector(4).tryRead()).toBeUndefined();
    interrupts.close();
  });

  test("enables all vectors by default, in one request", () => {
    const { interrupts, device } = open();
    interrupts.msix.enable();
    expect(device.interrupts.requests).toHaveLength(1);
    expect(device.interrupts.assigned(2)).toEqual(Array.from({ length: 16 }, (_, i) => i));
    interrupts.close();
  });

  test("a closed vector is of no more use, and does not reach the device", () => {
    const { interrupts, device } = open();
    interrupts.msix.enable(0, 1);
    const vector = interrupts.msix.vector(0);
    vector.close();
    const before = device.interrupts.requests.length;
    for (const use of ["trigger", "mask", "unmask"] as const) {
      expect(() => vector[use]()).toThrow(withCode("ERR_CLOSED"));
    }
    expect(device.interrupts.requests).toHaveLength(before);
    interrupts.close();
  });

  test("a vector that its owner closes is taken from the kernel, and the next one asked for is fresh", () => {
    const { interrupts, device } = open();
    interrupts.msix.enable(0, 3);
    let first: InterruptVector;
    {
      using vector = interrupts.msix.vector(1);
      first = vector;
    }
    expect(first.closed).toBe(true);
    expect(device.interrupts.assigned(2)).toEqual([0, 2]);
    expect(interrupts.msix.enabledVectors.map(({ vector }) => vector)).toEqual([0, 2]);
    const fresh = interrupts.msix.vector(1);
    expect(fresh).not.toBe(first);
    expect(interrupts.msix.vector(1)).toBe(fresh);
    device.interrupts.raise(2, 1);
    expect(fresh.tryRead()).toBe(1n);
    interrupts.close();
  });

  test("when every vector was closed, the kind is still enabled and can be disabled", () => {
    const { interrupts, device } = open();
    interrupts.msix.enable(0, 1);
    interrupts.msix.vector(0).close();
    interrupts.msix.reenable();
    expect(interrupts.msix.enabled).toBe(true);
    interrupts.msix.disable();
    expect(device.interrupts.requests.at(-1)).toEqual({ index: 2, action: "trigger", start: 0, count: 0 });
    expect(() => interrupts.msix.vector(0)).toThrow(withCode("ERR_NOT_ENABLED"));
    interrupts.close();
  });

  test("closing a vector gives back its descriptor, also when the kernel refuses or the device is closed", () => {
    const { interrupts, device } = open();
    const before = openDescriptors();
    interrupts.msix.enable(0, 2);
    const [first, second] = [interrupts.msix.vector(0), interrupts.msix.vector(1)];
    const setIrqs = device.setIrqs.bind(device);
    device.setIrqs = () => {
      throw new Error("refused");
    };
    expect(() => first.close()).toThrow("refused");
    expect(first.closed).toBe(true);
    expect(() => interrupts.msix.vector(0)).toThrow("refused");
    device.setIrqs = setIrqs;
    expect(interrupts.msix.vector(0).closed).toBe(false);
    interrupts.msix.disable();
    expect(second.closed).toBe(true);
    expect(openDescriptors()).toBe(before);

    interrupts.msix.enable(0, 1);
    const left = interrupts.msix.vector(0);
    device.close();
    left.close();
    expect(left.closed).toBe(true);
  });

  test("trigger signals by software, from the kind and from the vector", () => {
    const { interrupts } = open();
    interrupts.msix.enable(0, 2);
    interrupts.msix.trigger(1);
    interrupts.msix.vector(1).trigger();
    expect(interrupts.msix.vector(1).waitSync({ timeoutMs: 1000 })).toBe(2n);
    expect(interrupts.msix.vector(0).tryRead()).toBeUndefined();
    interrupts.close();
  });

  test("disable tells the kernel while the eventfds are still open", () => {
    const { interrupts, device } = open();
    interrupts.msix.enable(0, 2);
    const vector = interrupts.msix.vector(0);
    let openAtDisable: boolean | undefined;
    const setIrqs = device.setIrqs.bind(device);
    device.setIrqs = (request) => {
      openAtDisable = !vector.closed;
      setIrqs(request);
    };
    interrupts.msix.disable();
    expect(openAtDisable).toBe(true);
    expect(vector.closed).toBe(true);
    expect(device.interrupts.requests.at(-1)).toEqual({ index: 2, action: "trigger", start: 0, count: 0 });
    expect(device.interrupts.assigned(2)).toEqual([]);
    interrupts.msix.disable();
    expect(device.interrupts.requests).toHaveLength(2);
    interrupts.close();
  });

  test("reenable gives the kernel the same eventfds again", () => {
    const { interrupts, device } = open();
    interrupts.msix.enable(0, 2);
    interrupts.msix.enable(5, 1);
    const fds = interrupts.msix.enabledVectors.map(({ fd }) => fd);
    device.interrupts.close(); // as a reset of a vfio-user device does
    interrupts.msix.reenable();
    expect(interrupts.msix.enabledVectors.map(({ fd }) => fd)).toEqual(fds);
    expect(device.interrupts.assigned(2)).toEqual([0, 1, 5]);
    device.interrupts.raise(2, 5);
    expect(interrupts.msix.vector(5).tryRead()).toBe(1n);
    interrupts.close();
  });

  test("a range can be added to an enabled one, but no vector twice", () => {
    const { interrupts } = open();
    interrupts.msix.enable(0, 2);
    interrupts.msix.enable(8, 8);
    expect(() => interrupts.msix.enable(1, 2)).toThrow(withCode("EEXIST"));
    expect(interrupts.msix.enabledVectors).toHaveLength(10);
    interrupts.close();
  });

  test.each([
    [16, 1, "first is 16; allowed: 0 to 15"],
    [-1, 1, "first is -1"],
    [0.5, 1, "first is 0.5"],
    [0, 17, "count is 17; allowed: 1 to 16 from vector 0"],
    [15, 2, "count is 2; allowed: 1 to 1 from vector 15"],
    [0, 0, "count is 0"],
    [0, NaN, "count is NaN"],
  ])("refuses the range %p, %p", (first, count, message) => {
    const { interrupts, device } = open();
    expect(() => interrupts.msix.enable(first, count)).toThrow(message);
    expect(device.interrupts.requests).toEqual([]);
  });

  test("vectors that are not enabled are refused, and the error names the enabled ones", () => {
    const { interrupts } = open();
    expect(() => interrupts.msix.vector(0)).toThrow(withCode("ERR_NOT_ENABLED"));
    expect(() => interrupts.msix.reenable()).toThrow(withCode("ERR_NOT_ENABLED"));
    interrupts.msix.enable(3, 2);
    expect(() => interrupts.msix.vector(5)).toThrow("vector is 5; allowed: the enabled ones: 3, 4");
    expect(() => interrupts.msix.trigger(0)).toThrow(withCode("ERR_INVALID_ARGUMENT"));
    interrupts.close();
  });

  test("serves 2048 vectors", () => {
    const { interrupts, device } = open({ 2: { count: 2048 } });
    interrupts.msix.enable();
    device.interrupts.raise(2, 2047);
    expect(interrupts.msix.vector(2047).tryRead()).toBe(1n);
    interrupts.close();
  });

  test("a refused request leaves no descriptor and nothing enabled", () => {
    const { interrupts, device } = open();
    const before = openDescriptors();
    device.setIrqs = () => {
      throw new Error("refused");
    };
    expect(() => interrupts.msix.enable()).toThrow("refused");
    expect(openDescriptors()).toBe(before);
    expect(interrupts.msix.enabled).toBe(false);
  });
});

describe("MSI with NORESIZE", () => {
  test("accepts a further range only within what the first one set up", () => {
    const { interrupts } = open();
    interrupts.msi.enable(2, 1);
    interrupts.msi.enable(0, 1);
    expect(() => interrupts.msi.enable(3, 1)).toThrow(/NORESIZE/);
    interrupts.msi.disable();
    interrupts.msi.enable(0, 4);
    interrupts.close();
  });
});

describe("INTx", () => {
  test("is masked by its arrival and comes again after unmask", () => {
    const { interrupts, device } = open();
    interrupts.intx.enable();
    expect(interrupts.intx.info).toMatchObject({ count: 1, maskable: true, autoMasked: true });
    device.interrupts.raise(0, 0);
    device.interrupts.raise(0, 0);
    expect(interrupts.intx.vector(0).tryRead()).toBe(1n);
    expect(interrupts.intx.vector(0).tryRead()).toBeUndefined();
    interrupts.intx.unmask();
    expect(interrupts.intx.vector(0).tryRead()).toBe(1n);
    interrupts.close();
  });

  test("masked by the user, it is held back", () => {
    const { interrupts, device } = open();
    interrupts.intx.enable();
    interrupts.intx.mask();
    device.interrupts.raise(0, 0);
    expect(interrupts.intx.vector(0).tryRead()).toBeUndefined();
    interrupts.intx.vector(0).unmask();
    expect(interrupts.intx.vector(0).tryRead()).toBe(1n);
    interrupts.close();
  });

  test("the kernel's refusal to mask MSI-X comes through", () => {
    const { interrupts } = open();
    interrupts.msix.enable(0, 1);
    expect(() => interrupts.msix.mask(0)).toThrow(withCode("ENOTTY"));
    interrupts.close();
  });
});

test("INTx, MSI and MSI-X exclude each other; REQ goes with any", () => {
  const { interrupts } = open();
  interrupts.msi.enable(0, 1);
  interrupts.req.enable();
  expect(() => interrupts.msix.enable(0, 1)).toThrow(/MSI of 0000:01:00.0 is enabled.*\n.*disable MSI first/);
  expect(interrupts.exclusiveInUse()).toBe(interrupts.msi);
  interrupts.msi.disable();
  interrupts.msix.enable(0, 1);
  expect(interrupts.exclusiveInUse()).toBe(interrupts.msix);
  interrupts.close();
});

test("a kind that the device lacks has no vectors, and says so when enabled", () => {
  const { interrupts, device } = open();
  expect(interrupts.err.count).toBe(0);
  expect(() => interrupts.err.enable()).toThrow("0000:01:00.0 has no ERR");
  // vfio-pci answers EINVAL for ERR of a device without PCIe.
  device.irqInfo = () => {
    throw new VfioError("refused", { code: "EINVAL", operation: "VFIO_DEVICE_GET_IRQ_INFO" });
  };
  expect(interrupts.err.count).toBe(0);
  expect(() => interrupts.req.count).toThrow(withCode("EINVAL"));
});

test("close ends waits and refuses what comes after", async () => {
  const { interrupts } = open();
  interrupts.msix.enable(0, 1);
  const vector = interrupts.msix.vector(0);
  const waiting = vector.wait();
  interrupts.close();
  await expect(waiting).rejects.toMatchObject({
    code: "ERR_CLOSED",
    message: expect.stringContaining("0000:01:00.0 MSI-X vector 0") as string,
  });
  expect(() => interrupts.msix.enable()).toThrow(withCode("ERR_CLOSED"));
  expect(() => interrupts.msix.vector(0)).toThrow(withCode("ERR_CLOSED"));
});

test("whatever is enabled and disabled, the kernel holds exactly the vectors that we say", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constantFrom("msi" as const, "msix" as const), first: fc.nat(17), count: fc.nat(18) }),
    fc.record({ kind: fc.constantFrom("msi" as const, "msix" as const), disable: fc.constant(true) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const { interrupts, device } = open();
      for (const action of steps) {
        const index = interrupts[action.kind];
        try {
          if ("disable" in action) index.disable();
          else index.enable(action.first, action.count);
        } catch (error) {
          expect(error).toHaveProperty("code");
        }
        for (const { index: number, enabledVectors } of [interrupts.msi, interrupts.msix]) {
          expect(device.interrupts.assigned(number)).toEqual(enabledVectors.map(({ vector }) => vector));
        }
      }
      interrupts.close();
      device.close();
    }),
  );
});
