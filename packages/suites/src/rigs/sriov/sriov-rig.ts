import { Iommu, type IommuMode } from "@vfio-selftests/core";
import { closeAll } from "@vfio-selftests/core/backend";
import type { GuardedValue } from "@vfio-selftests/harness";
import type { SuiteTarget } from "../../suite-target";
import { DeviceCopier } from "../dma/copy-rig";
import { VF_TOKEN } from "./vf-token";
import { enableVfs, vfAddress } from "./virtual-functions";

/** The functions share an address space, or each has its own. */
export type Spaces = "own" | "shared";

/** A PF at work with VFs at work. The VFs are gone at the end. */
export class SriovRig implements Disposable {
  readonly count: GuardedValue;
  readonly #target: SuiteTarget;
  readonly #mode: IommuMode;
  readonly #pf: string;
  readonly #shared: Iommu | undefined;
  readonly #open = new Set<Disposable>();

  /** Skips the test where the PF cannot have the VFs, or no driver serves it. */
  constructor(target: SuiteTarget, mode: IommuMode, pf: string, vfs: number, spaces: Spaces = "own") {
    this.#target = target;
    this.#mode = mode;
    this.#pf = pf;
    this.count = enableVfs(pf, vfs);
    this.#shared = spaces === "shared" ? new Iommu(mode.open()) : undefined;
  }

  openPf(): FunctionAtWork {
    return this.#start(this.#pf, 0);
  }

  /** The PF must be at work. */
  openVf(number: number): FunctionAtWork {
    return this.#start(vfAddress(this.#pf, number), number + 1);
  }

  /** The VFs are closed before they go: the kernel waits for that. */
  [Symbol.dispose](): void {
    const open = [...this.#open].reverse();
    closeAll(this.#pf, [
      ...open.map((each) => () => each[Symbol.dispose]()),
      () => this.#shared?.close(),
      () => this.count[Symbol.dispose](),
    ]);
  }

  #start(address: string, seed: number): FunctionAtWork {
    const iommu = this.#shared ?? new Iommu(this.#mode.open());
    const own = this.#shared === undefined ? iommu : undefined;
    try {
      const copier = new DeviceCopier(this.#target, iommu, address, seed, { vfToken: VF_TOKEN });
      const started = new FunctionAtWork(copier, own);
      this.#open.add(started);
      return started;
    } catch (error) {
      own?.close();
      throw error;
    }
  }
}

/** A function with its driver, and memory to copy between. */
export class FunctionAtWork implements Disposable {
  constructor(
    readonly copier: DeviceCopier,
    readonly ownSpace: Iommu | undefined,
  ) {}

  /** Makes a copy and expects its data. */
  copy(): void {
    this.copier.copy();
  }

  /** What the last copy brought. */
  received(): Buffer {
    return Buffer.from(this.copier.destination.bytes);
  }

  /** Brings the function up anew. */
  startAgain(): void {
    const { session } = this.copier;
    session.remove();
    session.create();
  }

  /** Idempotent. A shared address space stays. */
  [Symbol.dispose](): void {
    closeAll(this.copier.device.address, [() => this.copier.close(), () => this.ownSpace?.close()]);
  }
}
