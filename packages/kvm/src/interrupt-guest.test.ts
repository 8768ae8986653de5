import { InterruptGuest, type InterruptGuestOptions, LAST_VECTOR } from "./interrupt-guest";
import { kvmAvailability } from "./virtual-machine";

const options: InterruptGuestOptions = { vcpus: 1, vector: 0x40, apic: "x2apic", idle: "halt" };

test.each<[Partial<InterruptGuestOptions>, string]>([
  [{ vcpus: 0 }, "vcpus is 0; allowed: 1 to 512 with x2apic"],
  [{ vcpus: 513 }, "vcpus is 513; allowed: 1 to 512 with x2apic"],
  [{ vcpus: 256, apic: "xapic" }, "vcpus is 256; allowed: 1 to 255 with xapic"],
  [{ vcpus: 1.5 }, "vcpus is 1.5"],
  [{ vector: 31 }, "vector is 31; allowed: 32 to 253"],
  [{ vector: LAST_VECTOR + 1 }, "vector is 254"],
])("%j is refused with what is allowed", async (change, message) => {
  await expect(InterruptGuest.start({ ...options, ...change })).rejects.toMatchObject({
    code: "ERR_INVALID_ARGUMENT",
    message: expect.stringContaining(message) as string,
  });
});

test("a missing KVM device is explained", () => {
  expect(kvmAvailability("/nonexistent/kvm")).toEqual({
    available: false,
    reason: "/nonexistent/kvm cannot be opened: ENOENT",
    remedy: expect.stringContaining("CONFIG_KVM") as string,
  });
});
