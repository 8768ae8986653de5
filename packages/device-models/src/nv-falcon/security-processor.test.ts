import { Cmd, Falcon, NvFalconFixture, SIZE_256 } from "../testing/nv-falcon-fixture";

const EMEMC = 0x8f_2ad0;
const EMEMD = 0x8f_2ad4;
const [HEAD, TAIL] = [0x8f_2c10, 0x8f_2c14];
const [ANSWER_HEAD, ANSWER_TAIL] = [0x8f_2c90, 0x8f_2c94];
const CHANNEL = 0x800;

/** MCTP whole message; NVIDIA's vendor-defined message of type 0x22; enable. */
const ENABLE = [0xc000_0000, 0x2210_de7e, 1];

function ask(gpu: NvFalconFixture, words: readonly number[]): number[] {
  const { bar } = gpu;
  bar.write(EMEMC, 4, CHANNEL | 0x0300_0000);
  for (const word of words) bar.write(EMEMD, 4, word);
  bar.write(TAIL, 4, CHANNEL + (words.length - 1) * 4);
  bar.write(HEAD, 4, CHANNEL);
  const [head, tail] = [bar.read(ANSWER_HEAD, 4), bar.read(ANSWER_TAIL, 4)];
  bar.write(EMEMC, 4, head | 0x0300_0000);
  const answer = head === tail ? [] : Array.from({ length: (tail - head) / 4 + 1 }, () => bar.read(EMEMD, 4));
  bar.write(ANSWER_TAIL, 4, head);
  return answer;
}

describe("Hopper's security processor", () => {
  it("lets host software use the falcon's DMA when asked, and not before", () => {
    const gpu = new NvFalconFixture("hopper");
    gpu.wait();
    expect(gpu.read(Falcon.ENGINE) >>> 16).toBe(0xbadf);
    expect(ask(gpu, ENABLE)).toEqual([0xc000_0000, 0x1510_de7e, 0, 0x22, 0]);
    expect(gpu.read(Falcon.ENGINE) >>> 16).toBe(0);
    expect(gpu.bar.read(HEAD, 4)).toBe(gpu.bar.read(TAIL, 4));
    gpu.bringUp();
    gpu.data.fill(3, 0, 256);
    gpu.transfer(SIZE_256, NvFalconFixture.data);
    gpu.transfer(SIZE_256 | Cmd.write, NvFalconFixture.data + 0x1000n);
    expect(gpu.data[0x10ff]).toBe(3);
    // ENGINE resets nothing here.
    gpu.write(Falcon.ENGINE, 1);
    expect(gpu.dmem(0, 1)[0]).toBe(3);
  });

  it("takes no message before it has booted", () => {
    const gpu = new NvFalconFixture("hopper");
    expect(ask(gpu, ENABLE)).toEqual([]);
    expect(gpu.bar.read(TAIL, 4)).toBe(CHANNEL + 8);
  });

  it.each([
    ["of another type", [0xc000_0000, 0x1410_de7e, 1], 0x14, 2],
    ["with another command", [0xc000_0000, 0x2210_de7e, 2], 0x22, 2],
    ["of another vendor", [0xc000_0000, 0x2280_867e, 1], 0x22, 1],
    ["that is a part of one", [0x8000_0000, 0x2210_de7e, 1], 0x22, 1],
  ])("refuses a message %s, and allows nothing", (_, words, type, error) => {
    const gpu = new NvFalconFixture("hopper");
    gpu.wait();
    expect(ask(gpu, words)).toEqual([0xc000_0000, 0x1510_de7e, 0, type, error]);
    expect(gpu.read(Falcon.ENGINE) >>> 16).toBe(0xbadf);
  });

  it("forgets at a reset", () => {
    const gpu = new NvFalconFixture("hopper");
    gpu.wait();
    ask(gpu, ENABLE);
    gpu.model.reset();
    gpu.wait();
    expect(gpu.read(Falcon.ENGINE) >>> 16).toBe(0xbadf);
  });

  it("is Hopper's alone", () => {
    const gpu = new NvFalconFixture("ada");
    gpu.wait();
    expect(ask(gpu, ENABLE)).toEqual([]);
  });
});
