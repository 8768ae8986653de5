import { VfioError } from "../errors/vfio-error";

/** The error that `action` throws, to look at its code and message. Anything but a {@link VfioError} goes through. */
export function thrownBy(action: () => void): VfioError {
  try {
    action();
  } catch (error) {
    if (error instanceof VfioError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
