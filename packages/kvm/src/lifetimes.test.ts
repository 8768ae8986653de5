import { descriptorsAre, openDescriptors } from "@vfio-selftests/core/testing";
import { native } from "@vfio-selftests/native";
import { InterruptGuest } from "./interrupt-guest";
import * as uapi from "./uapi";
import { Vcpu } from "./vcpu";
import { VirtualMachine } from "./virtual-machine";

const EINVAL = 22;
const RUN_BYTES = 1 << 16;
const MEMORY_BYTES = 1 << 16;
const { Ioctl, API_VERSION } = uapi;
const START = { entry: 0, stack: 4096, slot: 8192, apic: "x2apic" } as const;

/** The request to refuse. */
let failing: number | undefined;
let descriptors: number;

function memoryFile(): number {
  const fd = native.memfdCreate("fake-kvm", 0);
  native.ftruncate(fd, RUN_BYTES);
  return fd;
}

// A KVM of memory files. A vCPU's thread has the real calls, so its KVM_RUN is an error.
beforeEach(() => {
  failing = undefined;
  descriptors = openDescriptors();
  jest.spyOn(native, "open").mockImplementation(memoryFile);
  jest.spyOn(native, "ioctl").mockImplementation((_fd, request) => {
    if (request === failing) return -EINVAL;
    if (request === Ioctl.KVM_GET_API_VERSION) return API_VERSION;
    if (request === Ioctl.KVM_GET_VCPU_MMAP_SIZE) return RUN_BYTES;
    return request === Ioctl.KVM_CREATE_VM || request === Ioctl.KVM_CREATE_VCPU ? memoryFile() : 0;
  });
});
afterEach(async () => {
  jest.restoreAllMocks();
  await descriptorsAre(descriptors);
});

it.each([
  "KVM_GET_API_VERSION",
  "KVM_CREATE_VM",
  "KVM_SET_TSS_ADDR",
  "KVM_CREATE_IRQCHIP",
  "KVM_SET_USER_MEMORY_REGION",
])("a machine that fails at %s leaves nothing open", (request) => {
  failing = Ioctl[request as keyof typeof Ioctl];
  expect(() => new VirtualMachine(MEMORY_BYTES)).toThrow();
});

it.each(["KVM_CREATE_VCPU", "KVM_SET_CPUID2", "KVM_SET_SREGS", "KVM_GET_VCPU_MMAP_SIZE"])(
  "a vCPU that fails at %s leaves nothing open",
  async (request) => {
    using vm = new VirtualMachine(MEMORY_BYTES);
    failing = Ioctl[request as keyof typeof Ioctl];
    await expect(Vcpu.start(vm, 0, START)).rejects.toThrow("EINVAL");
  },
);

it("a machine that is closed refuses every use", () => {
  const vm = new VirtualMachine(MEMORY_BYTES);
  vm.close();
  vm.close();
  for (const use of [() => vm.maxVcpus, () => vm.createVcpu(0), () => vm.runSize, () => vm.setMsiRoutes([])]) {
    expect(use).toThrow(expect.objectContaining({ code: "ERR_CLOSED" }) as Error);
  }
});

it("a vCPU that is closed again leaves alone a newer file with its number", async () => {
  using vm = new VirtualMachine(MEMORY_BYTES);
  const vcpu = await Vcpu.start(vm, 0, START);
  await expect(vcpu.exited(5000)).resolves.toMatchObject({ reason: expect.stringContaining("KVM_RUN") as string });
  await Promise.all([vcpu.close(), vcpu.close()]);
  const others = Array.from({ length: 4 }, () => native.memfdCreate("another file", 0));
  await vcpu.close();
  expect(others.map((fd) => native.close(fd))).toEqual([0, 0, 0, 0]);
});

it("a guest that does not come up leaves nothing open", async () => {
  await expect(InterruptGuest.start({ vcpus: 2, vector: 0x40, apic: "x2apic", idle: "halt" })).rejects.toMatchObject({
    code: "ERR_GUEST",
  });
});
