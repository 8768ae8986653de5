import { Cmd, Falcon, GENERATION_NAMES, NvFalconFixture, SIZE_256 } from "../testing/nv-falcon-fixture";

const { data, nowhere } = NvFalconFixture;
const RECEIVED_MASTER_ABORT = 0x2000;

function pattern(bytes: Uint8Array, seed = 1): Uint8Array {
  return bytes.map((_, i) => (i * 7 + seed) & 0xff);
}

describe("the falcon's DMA", () => {
  it.each([4, 8, 16, 32, 64, 128, 256])("loads and stores %i bytes, and none around them", (bytes) => {
    const falcon = new NvFalconFixture().bringUp();
    const code = Math.log2(bytes) - 2;
    falcon.data.set(pattern(falcon.data.subarray(0, 0x800)));
    falcon.data.fill(0xee, 0x1000);
    falcon.transfer(code << 8, data + 0x400n, 0x300);
    expect(falcon.dmem(0x300, bytes)).toEqual(falcon.data.slice(0x400, 0x400 + bytes));
    expect(falcon.dmem(0x2fc, 4)).toEqual(new Uint8Array(4));
    expect(falcon.dmem(0x300 + bytes, 4)).toEqual(new Uint8Array(4));
    falcon.transfer((code << 8) | Cmd.write, data + 0x1400n, 0x300);
    expect(falcon.data.subarray(0x1400, 0x1400 + bytes)).toEqual(falcon.data.subarray(0x400, 0x400 + bytes));
    expect([falcon.data[0x13ff], falcon.data[0x1400 + bytes]]).toEqual([0xee, 0xee]);
    expect(falcon.host.faults).toEqual([]);
  });

  it("reaches 64-bit addresses: the top bits, the upper and the lower base, and the offset", () => {
    const falcon = new NvFalconFixture().bringUp();
    const address = 0xfedc_ba98_7654_3200n;
    const far = falcon.host.map(address, 0x100);
    far.set(pattern(far, 9));
    falcon.transfer(SIZE_256, address);
    expect(falcon.dmem(0, 256)).toEqual(far);
  });

  it("adds the offset to the base, and has no address bits below a transfer's size", () => {
    const falcon = new NvFalconFixture().bringUp();
    falcon.data.set(pattern(falcon.data));
    falcon.write(Falcon.DMATRFBASE1, Number(data >> 40n));
    falcon.write(Falcon.DMATRFBASE, Number((data >> 8n) & 0xffff_ffffn));
    falcon.write(Falcon.DMATRFFBOFFS, 0x1237);
    falcon.write(Falcon.DMATRFMOFFS, 0x17);
    falcon.write(Falcon.DMATRFCMD, 2 << 8);
    falcon.run();
    expect(falcon.dmem(0x10, 16)).toEqual(falcon.data.slice(0x1230, 0x1240));
  });

  it("loads code by whole blocks, and stores none", () => {
    const falcon = new NvFalconFixture().bringUp();
    falcon.data.set(pattern(falcon.data.subarray(0, 256)));
    falcon.transfer(Cmd.imem | Cmd.write, data, 0x200);
    expect(falcon.model.falcon.imem.bytes.subarray(0x200, 0x300)).toEqual(falcon.data.slice(0, 256));
    expect(falcon.dmem(0, 256)).toEqual(new Uint8Array(256));
  });

  it("is idle but for transfers under way, and counts those", () => {
    const falcon = new NvFalconFixture().bringUp();
    expect(falcon.idle).toBe(true);
    falcon.request(SIZE_256, data);
    falcon.request(SIZE_256 | Cmd.write, data);
    expect(falcon.idle).toBe(false);
    expect(falcon.read(Falcon.XFER_STATUS)).toBe(0x0101_0002);
    falcon.run();
    expect([falcon.idle, falcon.read(Falcon.XFER_STATUS)]).toEqual([true, 0]);
  });

  it("tells when its queue is full, and loses what comes then", () => {
    const falcon = new NvFalconFixture().bringUp();
    for (let i = 0; i < 7; i++) {
      expect(falcon.read(Falcon.DMATRFCMD) & Cmd.full).toBe(0);
      falcon.request(SIZE_256, data, i * 256);
    }
    expect(falcon.read(Falcon.DMATRFCMD) & Cmd.full).toBe(Cmd.full);
    falcon.data.fill(5);
    falcon.request(SIZE_256, data, 7 * 256);
    falcon.run();
    expect(falcon.dmem(6 * 256, 257)).toEqual(new Uint8Array([...Array<number>(256).fill(5), 0]));
  });

  it("waits while the device may not master the bus", () => {
    const falcon = new NvFalconFixture().bringUp();
    falcon.config.write(0x04, 2, 0x2);
    falcon.data.fill(3);
    falcon.transfer(SIZE_256, data);
    expect([falcon.idle, falcon.dmem(0, 1)[0]]).toEqual([false, 0]);
    falcon.config.write(0x04, 2, 0x6);
    falcon.run();
    expect([falcon.idle, falcon.dmem(0, 1)[0]]).toEqual([true, 3]);
  });

  it("ends a refused read with all ones, and PCI STATUS tells of it until software clears it", () => {
    const falcon = new NvFalconFixture().bringUp();
    falcon.transfer(SIZE_256, nowhere);
    expect(falcon.idle).toBe(true);
    expect(falcon.dmem(0, 256).every((byte) => byte === 0xff)).toBe(true);
    expect(falcon.status & RECEIVED_MASTER_ABORT).toBe(RECEIVED_MASTER_ABORT);
    expect(falcon.host.faults).toMatchObject([{ iova: nowhere, reason: "unmapped", access: "read" }]);
    falcon.config.write(0x06, 2, RECEIVED_MASTER_ABORT);
    expect(falcon.status & RECEIVED_MASTER_ABORT).toBe(0);
  });

  it("ends a refused write without a word, as posted requests end", () => {
    const falcon = new NvFalconFixture().bringUp();
    const readOnly = falcon.host.map(0x5000_0000n, 0x1000, { access: "read" });
    falcon.transfer(SIZE_256 | Cmd.write, nowhere);
    falcon.transfer(SIZE_256 | Cmd.write, 0x5000_0000n);
    expect([falcon.idle, falcon.status & RECEIVED_MASTER_ABORT]).toEqual([true, 0]);
    expect(readOnly.every((byte) => byte === 0)).toBe(true);
    expect(falcon.host.faults.map(({ reason }) => reason)).toEqual(["unmapped", "protection"]);
  });

  it.each<[string, (falcon: NvFalconFixture) => void]>([
    ["while a context is required", (falcon) => falcon.write(Falcon.DMACTL, 1)],
    ["by virtual addresses", (falcon) => falcon.writeFbif(0x00, 0x1)],
    ["to a peer", (falcon) => falcon.writeFbif(0x00, 0x7)],
    ["without one allowance of FBIF", (falcon) => falcon.writeFbif(0x24, 0x10)],
    ["without the other", (falcon) => falcon.writeFbif(0x24, 0x80)],
    ["by another context", (falcon) => falcon.writeFbif(0x04, 0)],
  ])("moves nothing %s, and ends", (what, spoil) => {
    const falcon = new NvFalconFixture().bringUp();
    falcon.data.fill(3);
    spoil(falcon);
    falcon.transfer(SIZE_256 | (what === "by another context" ? 1 << 12 : 0), data);
    expect([falcon.idle, falcon.dmem(0, 1)[0]]).toEqual([true, 0]);
    expect(falcon.host.faults).toEqual([]);
  });

  it("reads zeros from the GPU's own memory, without the bus", () => {
    const falcon = new NvFalconFixture().bringUp();
    falcon.config.write(0x04, 2, 0x2);
    falcon.dmem(0, 256).fill(9);
    falcon.writeFbif(0x00, 0x4);
    falcon.transfer(SIZE_256, data);
    expect([falcon.idle, falcon.dmem(0, 1)[0]]).toEqual([true, 0]);
  });

  it("drops a transfer that a reset meets under way, and touches nothing more", () => {
    const falcon = new NvFalconFixture().bringUp();
    falcon.data.fill(3);
    falcon.host.duringAccess = () => {
      falcon.host.duringAccess = undefined;
      falcon.write(Falcon.ENGINE, 1);
      falcon.write(Falcon.ENGINE, 0);
    };
    falcon.transfer(SIZE_256, data);
    falcon.wait();
    expect([falcon.idle, falcon.dmem(0, 1)[0]]).toEqual([true, 0]);
  });

  it.each(GENERATION_NAMES.filter((name) => name !== "hopper"))("copies on %s", (name) => {
    const falcon = new NvFalconFixture(name).bringUp();
    falcon.data.fill(3, 0, 256);
    falcon.transfer(SIZE_256, data);
    falcon.transfer(SIZE_256 | Cmd.write, data + 0x1000n);
    expect(falcon.data.subarray(0x1000, 0x1100).every((byte) => byte === 3)).toBe(true);
  });
});
