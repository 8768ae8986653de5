import { Iommu, type IommuMode } from "@vfio-selftests/core";
import { type Driver, DriverRegistry } from "@vfio-selftests/core/driver";
import { FakeIommuBackend, FakeVfioDevice } from "@vfio-selftests/core/testing";
import { CopyRig } from "./copy-rig";

test("a rig removes each driver, also where another one cannot be removed", () => {
  const removed: string[] = [];
  const driver: Driver = {
    name: "stuck",
    probe: () => true,
    regionSize: 4096,
    create: ({ address }) => ({
      limits: { minMemcpySize: 1, maxMemcpySize: 4096, maxMemcpyCount: 1, alignment: 1 },
      memcpyStart: () => undefined,
      memcpyEnded: () => true,
      memcpyWait: () => undefined,
      remove: () => {
        removed.push(address);
        throw new Error(`${address} is stuck`);
      },
    }),
  };
  const addresses = ["0000:00:01.0", "0000:00:02.0"];
  const backend = new FakeIommuBackend((address) => new FakeVfioDevice({ address }));
  const drivers = new DriverRegistry([driver]);
  const target = { kind: "models", devices: addresses, modes: [], drivers } as const;
  const rig = new CopyRig(target, undefined as unknown as IommuMode, addresses, new Iommu(backend));
  expect(() => rig[Symbol.dispose]()).toThrow(/0000:00:01.0 is stuck.*0000:00:02.0 is stuck/);
  expect(removed).toEqual(addresses);
});
