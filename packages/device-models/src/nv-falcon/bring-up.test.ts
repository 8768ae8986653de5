import { modelByName } from "../models";
import { Falcon, NvFalconFixture, SIZE_256 } from "../testing/nv-falcon-fixture";
import { NvFalconModel } from "./nv-falcon-model";

const NO_ANSWER = 0xbadf_5620;
const SCRUBBING = 0x6;
const { data } = NvFalconFixture;
const PMC_ENABLE = 0x200;

describe("a GPU after power-on", () => {
  it.each([
    ["kepler", 0x102d, 0x0f22_d0a1],
    ["maxwell1", 0x1381, 0x1170_10a2],
    ["maxwell2", 0x13f2, 0x1243_20a1],
    ["pascal", 0x15f8, 0x1300_00a1],
    ["pascal10x", 0x1bb3, 0x1340_00a1],
    ["volta", 0x1db4, 0x1400_00a1],
    ["turing", 0x1eb8, 0x1640_00a1],
    ["ampere", 0x20f1, 0x1700_00a1],
    ["ada", 0x27b8, 0x1940_00a1],
    ["hopper", 0x2331, 0x1800_00a1],
  ] as const)("of the generation %s has its ids, and 16 MiB of registers", (name, device, boot0) => {
    const { bar, config } = new NvFalconFixture(name);
    expect([config.read(0, 2), config.read(2, 2), config.read(0xa, 2)]).toEqual([0x10de, device, 0x0302]);
    expect([bar.size, bar.read(0, 4)]).toEqual([16 * 1024 ** 2, boot0]);
    expect(modelByName(`nv-falcon-${name}`)().regions.get(0)?.read(0, 4)).toBe(boot0);
  });

  it("is a Turing where nobody chooses, and no unknown one", () => {
    expect(modelByName("nv-falcon")().regions.get(0)?.read(0, 4)).toBe(0x1640_00a1);
    expect(() => new NvFalconModel({ generation: "fermi" })).toThrow(/generation.*fermi.*kepler.*hopper/s);
  });

  it.each([
    ["turing", 0x11_8234, 0x3ff],
    ["ada", 0x11_8234, 0x3ff],
    ["hopper", 0x02_00bc, 0xff],
  ] as const)("boots, then clears its memory, and lets nobody at the falcon before (%s)", (name, register, done) => {
    const gpu = new NvFalconFixture(name);
    const progress = () => [gpu.bar.read(register, 4), gpu.bar.read(0x10_0b20, 4)];
    expect(progress()).toEqual([0, 0]);
    expect(gpu.read(Falcon.DMACTL)).toBe(NO_ANSWER);
    gpu.wait(1);
    expect(progress()).toEqual([done, 0]);
    gpu.wait(1);
    expect(progress()).toEqual([done, 1]);
  });

  it("boots again after a function level reset", () => {
    const gpu = new NvFalconFixture().bringUp();
    gpu.dmem(0, 4).fill(9);
    gpu.config.write(0x80, 2, 0x8000);
    expect([gpu.bar.read(0x11_8234, 4), gpu.config.read(0x04, 2), gpu.dmem(0, 1)[0]]).toEqual([0, 0, 0]);
  });

  it("keeps config space at VFIO's reset, which drops what is under way", () => {
    const gpu = new NvFalconFixture().bringUp();
    gpu.request(SIZE_256, data);
    gpu.model.reset();
    gpu.data.fill(3);
    gpu.run();
    gpu.wait();
    expect([gpu.config.read(0x04, 2), gpu.idle, gpu.dmem(0, 1)[0]]).toEqual([6, true, 0]);
  });
});

describe("the falcon's reset", () => {
  it("by its own register makes everything else silent, and what software set is gone", () => {
    const gpu = new NvFalconFixture("volta").bringUp();
    gpu.write(Falcon.ENGINE, 1);
    expect([gpu.read(Falcon.ENGINE), gpu.read(Falcon.DMACTL), gpu.read(0x40c)]).toEqual([1, NO_ANSWER, NO_ANSWER]);
    gpu.write(Falcon.DMATRFBASE, 7);
    gpu.write(Falcon.ENGINE, 0);
    expect([gpu.read(Falcon.ENGINE), gpu.read(Falcon.DMATRFBASE), gpu.readFbif(0x00), gpu.readFbif(0x24)]).toEqual([
      0, 0, 0, 0,
    ]);
  });

  it.each([
    ["kepler", 0x2000_2000],
    ["pascal", 0x2000],
  ] as const)("by PMC_ENABLE needs all bits (%s), and ENGINE does nothing", (name, mask) => {
    const gpu = new NvFalconFixture(name).bringUp();
    gpu.write(Falcon.DMATRFBASE, 7);
    gpu.write(Falcon.ENGINE, 1);
    expect(gpu.read(Falcon.DMATRFBASE)).toBe(7);
    const enabled = gpu.bar.read(PMC_ENABLE, 4);
    gpu.bar.write(PMC_ENABLE, 4, (enabled & ~0x2000) >>> 0);
    expect(gpu.read(Falcon.DMATRFBASE)).toBe(NO_ANSWER);
    gpu.bar.write(PMC_ENABLE, 4, (enabled | mask) >>> 0);
    expect(gpu.read(Falcon.DMATRFBASE)).toBe(0);
  });

  it("clears IMEM and DMEM, tells so, and loses commands meanwhile", () => {
    const gpu = new NvFalconFixture().bringUp();
    gpu.dmem(0, 4).fill(9);
    gpu.model.falcon.imem.bytes.fill(9);
    gpu.write(Falcon.ENGINE, 1);
    gpu.write(Falcon.ENGINE, 0);
    expect(gpu.read(Falcon.DMACTL) & SCRUBBING).toBe(SCRUBBING);
    expect(gpu.read(Falcon.HWCFG2) & 0x1000).toBe(0x1000);
    gpu.request(SIZE_256, data);
    expect(gpu.idle).toBe(true);
    gpu.wait();
    expect([gpu.read(Falcon.DMACTL) & SCRUBBING, gpu.read(Falcon.HWCFG2) & 0x1000]).toEqual([0, 0]);
    expect([gpu.dmem(0, 1)[0], gpu.model.falcon.imem.bytes[0]]).toEqual([0, 0]);
  });

  it.each([
    ["ampere", false],
    ["ada", false],
    ["turing", true],
  ] as const)(
    "leaves the RISC-V core selected where there is one (%s), and then the falcon takes no command",
    (name, runs) => {
      const gpu = new NvFalconFixture(name).bringUp();
      gpu.write(Falcon.ENGINE, 1);
      gpu.write(Falcon.ENGINE, 0);
      gpu.wait();
      gpu.request(SIZE_256, data);
      expect(gpu.idle).toBe(!runs);
      gpu.write(Falcon.BCR_CTRL, 0);
      gpu.request(SIZE_256, data);
      expect(gpu.idle).toBe(false);
    },
  );
});

describe("the ports to the falcon's memories", () => {
  it.each([
    ["DMEM", Falcon.DMEMC, Falcon.DMEMD, 8],
    ["IMEM", Falcon.IMEMC, Falcon.IMEMD, 16],
  ] as const)("write and read %s word by word, with and without moving on", (memory, control, port, stride) => {
    const gpu = new NvFalconFixture().bringUp();
    const { bytes } = memory === "DMEM" ? gpu.model.falcon.dmem : gpu.model.falcon.imem;
    gpu.write(control + stride, 0x0100_0200);
    for (const word of [0x0403_0201, 0x0807_0605]) gpu.write(port + stride, word);
    expect([...bytes.subarray(0x200, 0x208)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(gpu.read(control + stride)).toBe(0x0100_0208);
    gpu.write(control, 0x0200_0204);
    expect([gpu.read(port), gpu.read(control)]).toEqual([0x0807_0605, 0x0200_0208]);
    gpu.write(control, 0x200);
    expect([gpu.read(port), gpu.read(port), gpu.read(control)]).toEqual([0x0403_0201, 0x0403_0201, 0x200]);
  });
});
