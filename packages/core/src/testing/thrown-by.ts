import { VfioError } from "../errors/vfio-error";

/**
 * The error that `action` throws, for a look at its code and message. Any error but a {@link VfioError} passes through.
 */
export function thrownBy(action: () => void): VfioError {
  try {
    action();
  } catch (error) {
    if (error instanceof VfioError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
