import { VfioError } from "@vfio-selftests/core";
import { systemError } from "@vfio-selftests/core/errors";
import { type KernelCalls, type KernelEnvironment, realKernel } from "@vfio-selftests/iommu-modes";
import { native } from "@vfio-selftests/native";

/** What became of an operation during which one place was to fail. */
export interface FailedOperation {
  /** The system call in which the kernel met the fault; undefined when the operation has fewer places than that. */
  readonly call?: string;
  readonly error?: VfioError;
}

/** The calls that the kernel can be made to fail in. `mapIo` is not among them: the addon allocates memory of its own there. */
const FAILING = ["open", "close", "dup", "ioctl", "read", "write", "pread", "pwrite"] as const;

/**
 * The kernel, which fails at one place in the system calls of an operation. Only the calls of modes, devices and
 * iommufd's objects count. Those of the JavaScript engine do not.
 */
export class FailingCalls {
  readonly kernel: KernelEnvironment;
  /** Places before the fault; 0 when none is wanted. */
  #left = 0;
  #met: string | undefined;

  constructor() {
    const failing = FAILING.map((name) => [name, this.#failing(name, native[name] as (...args: never[]) => unknown)]);
    const calls = { ...native, ...Object.fromEntries(failing), bindIoctl: this.#bindIoctl } as KernelCalls;
    this.kernel = { ...realKernel, calls };
  }

  /** Runs an operation whose n-th place fails. Throws any error that is no VfioError: the kernel did not answer so. */
  during(n: number, operation: () => void): FailedOperation {
    this.#left = n;
    this.#met = undefined;
    try {
      operation();
      return this.#outcome();
    } catch (error) {
      if (error instanceof VfioError) return { ...this.#outcome(), error };
      throw error;
    } finally {
      this.#left = 0;
    }
  }

  /** For a call that no mode or device makes. The engine's own system calls within it count, too: it should do little else. */
  around<Result>(name: string, call: () => Result): Result {
    return this.#failing(name, call)();
  }

  #outcome(): FailedOperation {
    return this.#met === undefined ? {} : { call: this.#met };
  }

  readonly #bindIoctl: KernelCalls["bindIoctl"] = (...args) => {
    const bound = native.bindIoctl(...args);
    return typeof bound === "number" ? bound : { ...bound, call: this.#failing("ioctl", bound.call) };
  };

  #failing<Args extends never[], Result>(name: string, call: (...args: Args) => Result): (...args: Args) => Result {
    return (...args) => {
      if (this.#left === 0) return call(...args);
      const outcome = native.failNth(this.#left, call, ...args);
      if (typeof outcome === "number") throw systemError(outcome, "fail-nth", { subject: name });
      const [result, left] = outcome;
      this.#left = left;
      if (left === 0) this.#met = name;
      return result;
    };
  }
}
