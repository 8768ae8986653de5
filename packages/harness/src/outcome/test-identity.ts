import { KERNEL_MODE_NAMES, USER_MODE_NAME } from "@vfio-selftests/core";

/** The longest first, so that a prefix match finds the right one. */
const MODE_NAMES = [...KERNEL_MODE_NAMES, USER_MODE_NAME].sort((a, b) => b.length - a.length);

/** PCI address, vfio-user socket or model, the forms of an address in `core`; or a path, for other devices. */
const ADDRESS = /^(?:[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]|vfio-user:.+|model:.+|\/.+)$/i;

/** A test's place in the report: upstream's id, and the two dimensions beside it. */
export interface TestIdentity {
  /** `fixture.variant.test`, or `fixture.test` where the fixture has no variants. */
  readonly id: string;
  /** Empty for a test outside any describe. */
  readonly fixture: string;
  /** The id's second part; undefined where the fixture has no variants. */
  readonly variant: string | undefined;
  /** The id's last part. */
  readonly test: string;
  /** The address of the device, when the run has several. */
  readonly device: string | undefined;
  /** The IOMMU mode that the variant names. */
  readonly mode: string | undefined;
  /** The variant without its mode: `anonymous_hugetlb_2mb`. */
  readonly flavour: string | undefined;
}

/** Takes jest's titles, outermost first: `[device,] fixture, [variant,] test`. */
export function identify(titles: readonly string[]): TestIdentity {
  const [first = "", ...rest] = titles;
  const device = ADDRESS.test(first) ? first : undefined;
  const names = device === undefined ? titles : rest;
  const fixture = names.length > 1 ? (names[0] ?? "") : "";
  const variant = names.length > 2 ? names.slice(1, -1).join(".") : undefined;
  const mode = MODE_NAMES.find(
    (name) => variant === name || variant?.startsWith(`${name}_`) || variant?.startsWith(`${name}.`),
  );
  const flavour = mode === undefined ? variant : variant?.slice(mode.length + 1);
  return {
    id: names.join("."),
    fixture,
    variant,
    test: names.at(-1) ?? "",
    device,
    mode,
    flavour: flavour === "" ? undefined : flavour,
  };
}

/** What distinguishes a test of a run from all others. */
export interface NamedTest {
  readonly id: string;
  readonly device?: string | undefined;
  readonly repetition?: number | undefined;
}

/**
 * The id that distinguishes a test of a run from all others. With several devices it begins with the device's address.
 */
export function fullId({ device, id, repetition }: NamedTest): string {
  return `${device === undefined ? "" : `${device} `}${id}${repetition === undefined ? "" : ` #${repetition}`}`;
}
