import { inspect } from "node:util";
import type { RegisterAccess } from "@vfio-selftests/core";
import type { NamedRegister, NamedRegisters } from "@vfio-selftests/core/driver";
import { argumentError } from "@vfio-selftests/core/errors";

/** A register, its BAR, and a way to it. */
interface PlacedRegister extends NamedRegister {
  readonly name: string;
  readonly bar: number;
}

/** What stands in the place of registers that have no name. */
export const NO_REGISTERS =
  "no driver that is installed names registers of this device: install its driver's package, or give --driver";

/** The registers as properties: reading one reads the device, and writing one writes it. 8 bytes are a bigint. */
export function registersOf(
  maps: readonly NamedRegisters[],
  barOf: (index: number) => RegisterAccess,
): { readonly registers: object; readonly list: readonly PlacedRegister[] } {
  const list = maps.flatMap(({ bar, registers }) =>
    Object.entries(registers).map(([name, register]) => ({ name, bar, ...register })),
  );
  const registers = {};
  for (const register of list) {
    Object.defineProperty(registers, register.name, {
      enumerable: true,
      get: () => readRegister(barOf(register.bar), register),
      set: (value: number | bigint) => writeRegister(barOf(register.bar), register, value),
    });
  }
  // What shows the object must not read the device, because a read may have an effect.
  const lines = list.length === 0 ? [NO_REGISTERS] : list.map(registerLine);
  Object.defineProperty(registers, inspect.custom, { value: () => lines.join("\n") });
  return { registers: withoutOtherNames(registers, list), list };
}

/** Names that JavaScript itself asks any object for: `await` and `JSON.stringify` do. */
const ASKED_BY_LANGUAGE = ["then", "toJSON"];

/** A misspelled register must not read as undefined, and a write to it must not vanish. */
function withoutOtherNames(registers: object, list: readonly PlacedRegister[]): object {
  const refuse = (name: string): never => {
    const names = list.length === 0 ? `none: ${NO_REGISTERS}` : list.map((one) => one.name).join(", ");
    throw argumentError("repl", "register", name, names);
  };
  return new Proxy(registers, {
    get: (target, name, receiver): unknown => {
      if (typeof name === "string" && !(name in target) && !ASKED_BY_LANGUAGE.includes(name)) refuse(name);
      return Reflect.get(target, name, receiver);
    },
    set: (target, name, value, receiver) => {
      if (!(name in target)) refuse(String(name));
      return Reflect.set(target, name, value, receiver);
    },
  });
}

export function registerLine({ name, bar, offset, bytes }: PlacedRegister): string {
  return `${name.padEnd(12)} BAR ${bar}, 0x${offset.toString(16).padStart(4, "0")}, ${8 * bytes} bits`;
}

export function readRegister(bar: RegisterAccess, { offset, bytes }: NamedRegister): number | bigint {
  switch (bytes) {
    case 1:
      return bar.read8(offset);
    case 2:
      return bar.read16(offset);
    case 4:
      return bar.read32(offset);
    case 8:
      return bar.read64(offset);
  }
}

function writeRegister(bar: RegisterAccess, { offset, bytes }: NamedRegister, value: number | bigint): void {
  if (bytes === 8) bar.write64(offset, BigInt(value));
  else if (bytes === 4) bar.write32(offset, Number(value));
  else if (bytes === 2) bar.write16(offset, Number(value));
  else bar.write8(offset, Number(value));
}
