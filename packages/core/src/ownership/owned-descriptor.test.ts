import { thrownBy } from "../testing/thrown-by";
import { closeAll } from "./close-all";
import { type DescriptorCalls, OwnedDescriptor } from "./owned-descriptor";

/** Numbers by the kernel's rule: the lowest free one, so a closed one comes back at once. */
class Descriptors implements DescriptorCalls {
  readonly open = new Set<number>();
  readonly events: string[] = [];

  take(): number {
    let number = 3;
    while (this.open.has(number)) number++;
    this.open.add(number);
    return number;
  }

  dup = (fd: number): number => (this.open.has(fd) ? this.take() : -9);

  close = (fd: number): number => {
    this.events.push(`close ${fd}`);
    return this.open.delete(fd) ? 0 : -9;
  };
}

describe("OwnedDescriptor", () => {
  it("gives the number while it is open, and afterwards an error with the operation's and the file's name", () => {
    const system = new Descriptors();
    const file = new OwnedDescriptor(system.take(), "/dev/iommu", system);
    expect(file.descriptor("read")).toBe(3);
    file.close();
    // The number now belongs to another file.
    expect(system.take()).toBe(3);
    expect(thrownBy(() => file.descriptor("read"))).toMatchObject({
      code: "ERR_CLOSED",
      message: "read: /dev/iommu is closed",
    });
    expect(() => file.duplicate()).toThrow("/dev/iommu is closed");
    expect(() => file.adopt({ close: () => undefined })).toThrow("/dev/iommu is closed");
    file.close();
    expect(system.events).toEqual(["close 3"]);
  });

  it("throws what close(2) answers, and counts as closed", () => {
    const system = new Descriptors();
    const file = new OwnedDescriptor(system.take(), "/dev/iommu", system);
    system.open.clear();
    expect(thrownBy(() => file.close())).toMatchObject({ code: "EBADF", operation: "close", subject: "/dev/iommu" });
    expect(file.closed).toBe(true);
    file.close();
    expect(system.events).toEqual(["close 3"]);
  });

  it("closes its children first, the last adopted one first, and the file whatever they throw", () => {
    const system = new Descriptors();
    const file = new OwnedDescriptor(system.take(), "file", system);
    const child = (name: string, fails = false) => ({
      close: () => {
        system.events.push(name);
        if (fails) throw new Error(name);
      },
    });
    file.adopt(child("first"));
    file.adopt(child("second", true));
    const release = file.adopt(child("gone"));
    release();
    expect(() => file.close()).toThrow("second");
    expect(system.events).toEqual(["second", "first", "close 3"]);
    expect(file.closed).toBe(true);
  });

  it("has a duplicate with a life of its own", () => {
    const system = new Descriptors();
    const file = new OwnedDescriptor(system.take(), "file", system);
    const lent = file.duplicate();
    file.close();
    expect(lent.descriptor("read")).toBe(4);
    lent.close();
    expect(system.open.size).toBe(0);
    system.dup = () => -24;
    const full = new OwnedDescriptor(system.take(), "file", system);
    expect(thrownBy(() => full.duplicate())).toMatchObject({ code: "EMFILE", subject: "file" });
  });
});

describe("closeAll", () => {
  it("takes every step and gathers what they throw", () => {
    const taken: number[] = [];
    const step = (number: number, message?: string) => () => {
      taken.push(number);
      if (message !== undefined) throw new Error(message);
    };
    closeAll("nothing", [step(1)]);
    expect(() => closeAll("one", [step(2, "alone"), step(3)])).toThrow(/^alone$/);
    const several = thrownBy(() => closeAll("many", [step(4, "this"), step(5), step(6, "that")]));
    expect(several).toMatchObject({ code: "ERR_CLOSE_FAILED", subject: "many" });
    expect(several).toHaveProperty("message", "close: 2 steps failed for many: this; that");
    expect((several as { cause: AggregateError }).cause.errors).toHaveLength(2);
    expect(taken).toEqual([1, 2, 3, 4, 5, 6]);
  });
});
