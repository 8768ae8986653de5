import { type Bar, type PciDevice, VfioError } from "@vfio-selftests/core";
import { pollUntil } from "@vfio-selftests/core/driver";

/** The channel of Hopper's security processor (FSP) that the kernel's driver uses, and where it begins in EMEM. */
const CHANNEL = 2;
const CHANNEL_START = CHANNEL * 1024;

/** Registers of the channel (nova-core's regs.rs). A queue's head and tail name its first and last word. Equal: empty. */
const FspReg = {
  EMEMC: 0x8f_2ac0 + CHANNEL * 8,
  EMEMD: 0x8f_2ac4 + CHANNEL * 8,
  QUEUE_HEAD: 0x8f_2c00 + CHANNEL * 8,
  QUEUE_TAIL: 0x8f_2c04 + CHANNEL * 8,
  MSGQ_HEAD: 0x8f_2c80 + CHANNEL * 8,
  MSGQ_TAIL: 0x8f_2c84 + CHANNEL * 8,
} as const;

/** The port moves to the next word with each access. */
const AUTO_INCREMENT = 0x0300_0000;

const TAKE_TIMEOUT_MS = 1000;
const ANSWER_TIMEOUT_MS = 5000;

/** An MCTP packet that is a whole message. */
const MCTP_WHOLE = 0xc000_0000;
/** A vendor's message, of NVIDIA, without its type in the top byte. */
const NVIDIA_MESSAGE = 0x0010_de7e;
const NVDM_FBDMA = 0x22;
const NVDM_RESPONSE = 0x15;
const FBDMA_ENABLE = 1;
/** Words of an answer: MCTP header, message header, status word, type of the message, error. */
const ANSWER_WORDS = 5;

/** Asks FSP to let host software use DMA by OFA's falcon. Throws `EIO` if FSP refuses, `ETIMEDOUT` if it does not answer. */
export function allowFalconDma(device: PciDevice): void {
  const bar = device.bar(0);
  emptyQueues(bar);
  send(device, [MCTP_WHOLE, ((NVDM_FBDMA << 24) | NVIDIA_MESSAGE) >>> 0, FBDMA_ENABLE]);
  const answer = receive(device);
  const type = (answer[1] ?? 0) >>> 24;
  if (answer.length >= ANSWER_WORDS && type === NVDM_RESPONSE && answer[3] === NVDM_FBDMA && answer[4] === 0) return;
  const words = answer.map((word) => `0x${word.toString(16)}`).join(" ");
  throw new VfioError(`${device.address}: FSP does not allow DMA by the falcon; its answer: ${words}`, {
    code: "EIO",
    operation: "nv-falcon create",
    subject: device.address,
    remedy: "reset the GPU, or update its firmware",
  });
}

/** Drops what an earlier user of the channel left in it. */
function emptyQueues(bar: Bar): void {
  if (isEmpty(bar, "QUEUE") && isEmpty(bar, "MSGQ")) return;
  for (const register of ["QUEUE_TAIL", "QUEUE_HEAD", "MSGQ_TAIL", "MSGQ_HEAD"] as const) {
    bar.write32(FspReg[register], CHANNEL_START);
  }
}

function send(device: PciDevice, words: readonly number[]): void {
  const bar = device.bar(0);
  bar.write32(FspReg.EMEMC, CHANNEL_START | AUTO_INCREMENT);
  for (const word of words) bar.write32(FspReg.EMEMD, word);
  bar.write32(FspReg.QUEUE_TAIL, CHANNEL_START + (words.length - 1) * 4);
  // The write of the head hands the message over.
  bar.write32(FspReg.QUEUE_HEAD, CHANNEL_START);
  wait(device, "QUEUE", "FSP to take the message", TAKE_TIMEOUT_MS, true);
}

function receive(device: PciDevice): number[] {
  wait(device, "MSGQ", "FSP's answer", ANSWER_TIMEOUT_MS, false);
  const bar = device.bar(0);
  const [head, tail] = [bar.read32(FspReg.MSGQ_HEAD), bar.read32(FspReg.MSGQ_TAIL)];
  const words = Math.min((tail - head) / 4 + 1, ANSWER_WORDS);
  bar.write32(FspReg.EMEMC, CHANNEL_START | AUTO_INCREMENT);
  const answer = Array.from({ length: words }, () => bar.read32(FspReg.EMEMD));
  bar.write32(FspReg.MSGQ_TAIL, head);
  return answer;
}

function wait(device: PciDevice, queue: "QUEUE" | "MSGQ", what: string, timeoutMs: number, empty: boolean): void {
  const bar = device.bar(0);
  pollUntil(() => isEmpty(bar, queue) === empty, { timeoutMs, what, subject: device.address });
}

function isEmpty(bar: Bar, queue: "QUEUE" | "MSGQ"): boolean {
  return bar.read32(FspReg[`${queue}_HEAD`]) === bar.read32(FspReg[`${queue}_TAIL`]);
}
