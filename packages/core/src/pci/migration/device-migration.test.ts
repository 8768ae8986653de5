import type { MigrationData } from "../../contracts/vfio-device";
import { FakeVfioDevice } from "../../testing/fake-vfio-device";
import { thrownBy } from "../../testing/thrown-by";
import { VFIO_DEVICE_STATE_RESUMING } from "../../uapi/vfio-numbers";
import { DeviceMigration } from "./device-migration";

let device: FakeVfioDevice;
afterEach(() => device.close());

/** A device in RESUMING whose data file takes so many bytes of each write. */
function resuming(take: (bytes: Uint8Array) => number): DeviceMigration {
  device = new FakeVfioDevice({ onFeature: (_flags, payload) => payload });
  const close = (): void => undefined;
  const data: MigrationData = { read: () => 0, write: take, close, [Symbol.dispose]: close };
  const migration = new DeviceMigration(Object.assign(device, { openMigrationData: () => data }));
  migration.setState(VFIO_DEVICE_STATE_RESUMING);
  return migration;
}

test("data go in as many writes as the file asks for", () => {
  const taken: number[] = [];
  using migration = resuming((bytes) => taken.push(...bytes.subarray(0, 2)) && Math.min(2, bytes.length));
  migration.write(Uint8Array.of(1, 2, 3, 4, 5));
  expect(taken).toEqual([1, 2, 3, 4, 5]);
});

test("a file that takes nothing is an error, not an endless loop", () => {
  let writes = 0;
  using migration = resuming(() => {
    if ((writes += 1) > 3) throw new RangeError("the loop does not end");
    return 0;
  });
  const { code, message } = thrownBy(() => migration.write(Uint8Array.of(1)));
  expect([code, message]).toEqual(["EIO", expect.stringContaining("0 of 1 bytes")]);
});
