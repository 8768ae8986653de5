import { argumentError } from "@vfio-selftests/core/errors";
import {
  type DeviceHost,
  type DeviceModel,
  type ModelIrq,
  type ModelRegion,
  PciRegion,
} from "@vfio-selftests/vfio-user";
import { Command, INITIATE_FUNCTION_LEVEL_RESET } from "../config-space/index";
import { RegisterFile, RegisterWindows } from "../registers/index";
import { BootProgress } from "./boot-progress";
import { Falcon } from "./falcon/falcon";
import { SecurityProcessor } from "./fsp/security-processor";
import { DEFAULT_GENERATION, type Generation, GENERATIONS } from "./generations";
import { BAR0_BYTES, bar0Of } from "./registers/bar0";
import { type Config, configOf, RECEIVED_MASTER_ABORT } from "./registers/config-space";

/** What a caller chooses of the model. */
export interface NvFalconModelOptions {
  /** A name of {@link nvFalconGenerations}. Default `turing`. ERR_INVALID_ARGUMENT for others. */
  readonly generation?: string;
  /** Clock in milliseconds, for boot and scrubbing. Default `performance.now`. */
  readonly now?: () => number;
}

/** The generations of GPUs that the model knows, by name. */
export const nvFalconGenerations: readonly string[] = GENERATIONS.map(({ name }) => name);

/**
 * The falcon of an NVIDIA GPU whose DMA engine copies between the host's memory and its own 64 KiB. It is no copy engine
 * by itself: a copy is a load and a store. docs/nv-falcon.md lists what the model has of the GPU.
 */
export class NvFalconModel implements DeviceModel {
  readonly name = "nv-falcon";
  /** Configuration space, for tests. */
  readonly config: Config;
  /** For tests: the falcon's registers and memories. */
  readonly falcon: Falcon;
  readonly regions: ReadonlyMap<number, ModelRegion>;
  /** The kernel's driver uses no interrupt, and the model has none. */
  readonly irqs: ReadonlyMap<number, ModelIrq> = new Map();
  readonly #boot: BootProgress;
  readonly #fsp: SecurityProcessor;
  readonly #resetRegisters: () => void;
  #host: DeviceHost | undefined;

  /** The GPU as it is after its boot. */
  constructor({ generation: name = DEFAULT_GENERATION, now = () => performance.now() }: NvFalconModelOptions = {}) {
    const generation = generationByName(name);
    const blocks = bar0Of(generation);
    this.#boot = new BootProgress(generation, now);
    this.config = new RegisterFile(configOf(generation), {
      PCIE_DEVICE_CONTROL: {
        afterWrite: (written) => {
          if ((written & INITIATE_FUNCTION_LEVEL_RESET) !== 0) this.#functionLevelReset();
        },
      },
    });

    const memory = new RegisterFile(blocks.memory.map, {
      MEM_CLEAR: { beforeRead: () => (memory.registers.MEM_CLEAR.value = this.#boot.memoryClear) },
    });
    const aon = new RegisterFile(blocks.aon.map, {
      BOOT_COMPLETE: { beforeRead: () => (aon.registers.BOOT_COMPLETE.value = this.#boot.gfwProgress) },
    });
    const therm = new RegisterFile(blocks.therm.map, {
      I2CS_SCRATCH: { beforeRead: () => (therm.registers.I2CS_SCRATCH.value = this.#boot.fspProgress) },
    });
    const master = new RegisterFile(blocks.master.map, {
      PMC_ENABLE: { afterWrite: () => this.#masterEnableWritten(generation, master.registers.PMC_ENABLE.value) },
    });
    this.#fsp = new SecurityProcessor(blocks.fsp.map, () => this.#boot.done);
    this.falcon = new Falcon(generation, blocks.falcon.map, {
      memory,
      now,
      powered: () => this.#boot.done && (generation.reset !== "fsp" || this.#fsp.dmaEnabled),
      busMaster: () => (this.config.registers.COMMAND.value & Command.busMaster) !== 0,
      masterAbort: () => (this.config.registers.STATUS.value |= RECEIVED_MASTER_ABORT),
    });
    this.#resetRegisters = () => [master, memory, aon, therm].forEach((file) => file.reset());

    const bar0 = new RegisterWindows(BAR0_BYTES, [
      { at: blocks.master.at, registers: master },
      { at: blocks.memory.at, registers: memory },
      { at: blocks.falcon.at, registers: this.falcon.registers, silence: (offset) => this.falcon.silence(offset) },
      ...(generation.boot === "gfw" ? [{ at: blocks.aon.at, registers: aon }] : []),
      ...(generation.boot === "fsp" ? [{ at: blocks.therm.at, registers: therm }] : []),
      ...(generation.reset === "fsp" ? [{ at: blocks.fsp.at, registers: this.#fsp.registers }] : []),
    ]);
    this.regions = new Map<number, ModelRegion>([
      [PciRegion.bar0, bar0],
      [PciRegion.config, this.config],
    ]);
    this.reset();
  }

  attach(host: DeviceHost): void {
    this.#host = host;
  }

  /** VFIO's reset: the GPU boots again. vfio-pci restores config space, so a client finds it unchanged. */
  reset(): void {
    this.#boot.start();
    this.#resetRegisters();
    this.#fsp.reset();
    this.falcon.reset();
  }

  step(): boolean {
    return this.#host !== undefined && this.falcon.run(this.#host.dma);
  }

  clientGone(): void {
    this.falcon.drop();
  }

  #functionLevelReset(): void {
    this.reset();
    this.config.reset({ keepSticky: true });
  }

  #masterEnableWritten({ reset, pmcMask }: Generation, enabled: number): void {
    if (reset === "pmc") this.falcon.setReset((enabled & pmcMask) !== pmcMask);
  }
}

function generationByName(name: string): Generation {
  const generation = GENERATIONS.find((one) => one.name === name);
  if (generation === undefined) {
    throw argumentError("NvFalconModel", "generation", name, nvFalconGenerations.join(", "));
  }
  return generation;
}
