import { type Register, RegisterFile } from "../../registers/index";
import { WordMemory } from "../falcon/word-memory";
import type { bar0Of, FspRegisters } from "../registers/bar0";
import { answerTo } from "./messages";

const EMEM_BYTES = 0x2000;
const CHANNEL_BYTES = 1024;

/**
 * Hopper's security processor (FSP), as far as host software asks it: a memory (EMEM) with a kilobyte for each channel, and
 * a queue in each direction. A queue's head and tail are the first and last word of a message, and equal when it is empty.
 */
export class SecurityProcessor {
  readonly registers: FspRegisters;
  /** Whether the host may use the DMA engine of OFA. */
  dmaEnabled = false;
  readonly #memory = new WordMemory(EMEM_BYTES);

  /** `running` tells whether the processor has booted. Before, messages wait. */
  constructor(map: ReturnType<typeof bar0Of>["fsp"]["map"], running: () => boolean) {
    this.registers = new RegisterFile(map, {
      FSP_EMEMD: this.#memory.portData(() => ({
        control: this.registers.registers.FSP_EMEMC,
        data: this.registers.registers.FSP_EMEMD,
      })),
      FSP_QUEUE_HEAD: {
        afterWrite: (_written, _lanes, channel) => {
          if (running()) this.#take(channel);
        },
      },
    });
  }

  reset(): void {
    this.dmaEnabled = false;
    this.#memory.clear();
    this.registers.reset();
  }

  /** Takes the message of a channel, and answers. */
  #take(channel: number): void {
    const { FSP_QUEUE_HEAD, FSP_QUEUE_TAIL, FSP_MSGQ_HEAD, FSP_MSGQ_TAIL } = this.registers.registers;
    const [head, tail] = [FSP_QUEUE_HEAD[channel] as Register, FSP_QUEUE_TAIL[channel] as Register];
    if (head.value === tail.value) return;
    const start = channel * CHANNEL_BYTES;
    const words = tail.value > head.value ? (tail.value - head.value) / 4 + 1 : 0;
    const message = Array.from({ length: Math.min(words, CHANNEL_BYTES / 4) }, (_, i) =>
      this.#memory.word(head.value + i * 4),
    );
    tail.value = head.value;
    const { words: answer, enablesDma } = answerTo(message);
    this.dmaEnabled ||= enablesDma;
    answer.forEach((word, i) => this.#memory.setWord(start + i * 4, word));
    (FSP_MSGQ_HEAD[channel] as Register).value = start;
    (FSP_MSGQ_TAIL[channel] as Register).value = start + (answer.length - 1) * 4;
  }
}
