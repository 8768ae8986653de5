import {
  VFIO_IRQ_SET_ACTION_MASK,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_ACTION_UNMASK,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
  VFIO_PCI_ERR_IRQ_INDEX,
  VFIO_PCI_INTX_IRQ_INDEX,
  VFIO_PCI_MSI_IRQ_INDEX,
  VFIO_PCI_MSIX_IRQ_INDEX,
  VFIO_PCI_NUM_IRQS,
  VFIO_PCI_REQ_IRQ_INDEX,
} from "@vfio-selftests/core/uapi";
import { defaultMode, fixture, skip } from "@vfio-selftests/harness";
import { openForBlock } from "../rigs/device/open-device";
import { RawDevice, type RawIrqSet } from "../rigs/raw/raw-device";
import type { SuiteTarget } from "../suite-target";

const NONE = VFIO_IRQ_SET_DATA_NONE;
const BOOL = VFIO_IRQ_SET_DATA_BOOL;
const EVENTFD = VFIO_IRQ_SET_DATA_EVENTFD;
const MASK = VFIO_IRQ_SET_ACTION_MASK;
const UNMASK = VFIO_IRQ_SET_ACTION_UNMASK;
const TRIGGER = VFIO_IRQ_SET_ACTION_TRIGGER;

const INTX = VFIO_PCI_INTX_IRQ_INDEX;
const MSI = VFIO_PCI_MSI_IRQ_INDEX;
const MSIX = VFIO_PCI_MSIX_IRQ_INDEX;
const ERR = VFIO_PCI_ERR_IRQ_INDEX;
const REQ = VFIO_PCI_REQ_IRQ_INDEX;

const U32_MAX = 0xffff_ffff;
/** No process has this many descriptors open. */
const NO_DESCRIPTOR = 0x7fff_fff0;

const one = Uint8Array.of(1);
const fds = (...numbers: number[]): Int32Array => Int32Array.from(numbers);

interface RefusedRequest {
  readonly name: string;
  readonly request: RawIrqSet;
  readonly errno: string;
}

/** Nothing is wrong with it, and it does nothing. */
const GOOD: RawIrqSet = { flags: BOOL | TRIGGER, index: REQ, data: Uint8Array.of(0) };

/** Requests that are wrong whatever the device is doing (vfio_set_irqs_validate_and_prepare). */
const MALFORMED: readonly RefusedRequest[] = [
  { name: "structure_too_short", request: { ...GOOD, argsz: 19 }, errno: "EINVAL" },
  { name: "index_beyond", request: { flags: NONE | TRIGGER, index: VFIO_PCI_NUM_IRQS }, errno: "EINVAL" },
  { name: "unknown_flag", request: { ...GOOD, flags: GOOD.flags | (1 << 6) }, errno: "EINVAL" },
  { name: "no_data_type", request: { flags: TRIGGER, index: REQ }, errno: "EINVAL" },
  { name: "data_none_and_bool", request: { flags: NONE | BOOL | TRIGGER, index: REQ, data: one }, errno: "EINVAL" },
  {
    name: "data_bool_and_eventfd",
    request: { flags: BOOL | EVENTFD | TRIGGER, index: REQ, data: fds(-1) },
    errno: "EINVAL",
  },
  {
    name: "data_none_and_eventfd",
    request: { flags: NONE | EVENTFD | TRIGGER, index: REQ, data: fds(-1) },
    errno: "EINVAL",
  },
  { name: "bool_without_data", request: { flags: BOOL | TRIGGER, index: REQ }, errno: "EINVAL" },
  { name: "eventfd_with_half_its_data", request: { flags: EVENTFD | TRIGGER, index: REQ, argsz: 22 }, errno: "EINVAL" },
  {
    name: "start_and_count_overflow",
    request: { flags: NONE | TRIGGER, index: MSIX, start: U32_MAX },
    errno: "EINVAL",
  },
  {
    name: "count_overflows",
    request: { flags: NONE | TRIGGER, index: MSIX, start: 1, count: U32_MAX },
    errno: "EINVAL",
  },
  { name: "req_has_one_vector", request: { flags: NONE | TRIGGER, index: REQ, start: 1 }, errno: "EINVAL" },
  { name: "req_has_one_count", request: { flags: NONE | TRIGGER, index: REQ, count: 2 }, errno: "EINVAL" },
];

/** Requests that vfio_pci_set_irqs_ioctl and its helpers refuse while nothing is enabled. */
const NOTHING_ENABLED: readonly RefusedRequest[] = [
  ...[INTX, MSI, MSIX, ERR, REQ].flatMap((index) => [
    { name: `no_action_index_${index}`, request: { flags: NONE, index }, errno: "ENOTTY" },
    {
      name: `two_actions_index_${index}`,
      request: { flags: NONE | MASK | TRIGGER, index },
      errno: "ENOTTY",
    },
  ]),
  ...[MSI, MSIX, ERR, REQ].flatMap((index) =>
    [MASK, UNMASK].map((action) => ({
      name: `${action === MASK ? "mask" : "unmask"}_index_${index}`,
      request: { flags: NONE | action, index },
      errno: "ENOTTY",
    })),
  ),
  { name: "mask_intx", request: { flags: NONE | MASK, index: INTX }, errno: "EINVAL" },
  { name: "unmask_intx", request: { flags: NONE | UNMASK, index: INTX }, errno: "EINVAL" },
  ...[INTX, MSI, MSIX].flatMap((index) => [
    { name: `trigger_index_${index}`, request: { flags: NONE | TRIGGER, index }, errno: "EINVAL" },
    { name: `trigger_by_bool_index_${index}`, request: { flags: BOOL | TRIGGER, index, data: one }, errno: "EINVAL" },
    { name: `disable_index_${index}`, request: { flags: NONE | TRIGGER, index, count: 0 }, errno: "EINVAL" },
    {
      name: `no_such_descriptor_index_${index}`,
      request: { flags: EVENTFD | TRIGGER, index, data: fds(NO_DESCRIPTOR) },
      errno: "EBADF",
    },
    {
      // Standard input is no eventfd.
      name: `no_eventfd_index_${index}`,
      request: { flags: EVENTFD | TRIGGER, index, data: fds(0) },
      errno: "EINVAL",
    },
  ]),
  // vfio_pci_set_ctx_trigger_single
  ...[ERR, REQ].flatMap((index) => [
    { name: `trigger_index_${index}`, request: { flags: NONE | TRIGGER, index }, errno: "EINVAL" },
    { name: `disable_index_${index}`, request: { flags: NONE | TRIGGER, index, count: 0 }, errno: "EINVAL" },
    { name: `bool_of_none_index_${index}`, request: { flags: BOOL | TRIGGER, index, count: 0 }, errno: "EINVAL" },
    {
      name: `eventfds_of_none_index_${index}`,
      request: { flags: EVENTFD | TRIGGER, index, count: 0 },
      errno: "EINVAL",
    },
    {
      name: `no_such_descriptor_index_${index}`,
      request: { flags: EVENTFD | TRIGGER, index, data: fds(NO_DESCRIPTOR) },
      errno: "EBADF",
    },
    { name: `no_eventfd_index_${index}`, request: { flags: EVENTFD | TRIGGER, index, data: fds(0) }, errno: "EINVAL" },
    {
      name: `negative_eventfd_index_${index}`,
      request: { flags: EVENTFD | TRIGGER, index, data: fds(-2) },
      errno: "EINVAL",
    },
  ]),
];

/** While one of the three exclusive kinds is enabled: requests to it, and to the others. */
const ONE_ENABLED = {
  intx: [
    { name: "mask_by_eventfd", request: { flags: EVENTFD | MASK, index: INTX, data: fds(-1) }, errno: "ENOTTY" },
    { name: "mask_none", request: { flags: NONE | MASK, index: INTX, count: 0 }, errno: "EINVAL" },
    { name: "unmask_none", request: { flags: NONE | UNMASK, index: INTX, count: 0 }, errno: "EINVAL" },
    { name: "bool_of_none", request: { flags: BOOL | TRIGGER, index: INTX, count: 0 }, errno: "EINVAL" },
    {
      name: "no_such_descriptor_unmasks",
      request: { flags: EVENTFD | UNMASK, index: INTX, data: fds(NO_DESCRIPTOR) },
      errno: "EBADF",
    },
    { name: "no_eventfd_unmasks", request: { flags: EVENTFD | UNMASK, index: INTX, data: fds(0) }, errno: "EINVAL" },
    { name: "trigger_msi", request: { flags: NONE | TRIGGER, index: MSI }, errno: "EINVAL" },
    { name: "trigger_msix", request: { flags: NONE | TRIGGER, index: MSIX }, errno: "EINVAL" },
    { name: "enable_msi", request: { flags: EVENTFD | TRIGGER, index: MSI, data: fds(-1) }, errno: "EINVAL" },
    { name: "enable_msix", request: { flags: EVENTFD | TRIGGER, index: MSIX, data: fds(-1) }, errno: "EINVAL" },
    { name: "disable_msix", request: { flags: NONE | TRIGGER, index: MSIX, count: 0 }, errno: "EINVAL" },
  ],
  msi: [
    { name: "enable_msix", request: { flags: EVENTFD | TRIGGER, index: MSIX, data: fds(-1) }, errno: "EINVAL" },
    { name: "disable_msix", request: { flags: NONE | TRIGGER, index: MSIX, count: 0 }, errno: "EINVAL" },
    { name: "enable_intx", request: { flags: EVENTFD | TRIGGER, index: INTX, data: fds(-1) }, errno: "EINVAL" },
  ],
  msix: [
    { name: "enable_msi", request: { flags: EVENTFD | TRIGGER, index: MSI, data: fds(-1) }, errno: "EINVAL" },
    { name: "enable_intx", request: { flags: EVENTFD | TRIGGER, index: INTX, data: fds(-1) }, errno: "EINVAL" },
    { name: "disable_msi", request: { flags: NONE | TRIGGER, index: MSI, count: 0 }, errno: "EINVAL" },
    { name: "disable_intx", request: { flags: NONE | TRIGGER, index: INTX, count: 0 }, errno: "EINVAL" },
    { name: "trigger_intx", request: { flags: NONE | TRIGGER, index: INTX }, errno: "EINVAL" },
    { name: "mask_intx", request: { flags: NONE | MASK, index: INTX }, errno: "EINVAL" },
    { name: "unmask_intx", request: { flags: NONE | UNMASK, index: INTX }, errno: "EINVAL" },
  ],
} as const satisfies Readonly<Record<string, readonly RefusedRequest[]>>;

/** What VFIO_DEVICE_SET_IRQS must refuse, with which errno. After each refusal, what was enabled still works. */
export function setIrqsRefusedSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_set_irqs_refused", target, (address) => {
    const device = openForBlock(mode, address);

    /** Skips where the device has no such interrupts. */
    const requireIndex = (index: number): void => {
      const named = device().interrupts.all.find((kind) => kind.index === index);
      if (named?.count === 0) {
        skip({ reason: `the device has no ${named.name}`, remedy: `use a device with ${named.name}` });
      }
    };

    describe("malformed", () => {
      for (const { name, request, errno } of MALFORMED) {
        it(name, () => {
          requireIndex(request.index);
          const raw = new RawDevice(device());
          expect(raw.setIrqs(request)).toBe(errno);
          expect(raw.setIrqs(GOOD)).toBe(0);
        });
      }

      for (const kind of ["intx", "msi", "msix"] as const) {
        it(`vector_beyond_${kind}`, () => {
          const { index, count } = device().interrupts[kind];
          requireIndex(index);
          const raw = new RawDevice(device());
          expect(raw.setIrqs({ flags: NONE | TRIGGER, index, start: count, count: 0 })).toBe("EINVAL");
          const data = new Int32Array(count + 1).fill(-1);
          expect(raw.setIrqs({ flags: EVENTFD | TRIGGER, index, count: count + 1, data })).toBe("EINVAL");
          // From the last vector on there is room for one.
          expect(raw.setIrqs({ flags: EVENTFD | TRIGGER, index, start: count - 1, count: 2, data })).toBe("EINVAL");
        });
      }
    });

    describe("nothing_enabled", () => {
      for (const { name, request, errno } of NOTHING_ENABLED) {
        it(name, () => {
          requireIndex(request.index);
          expect(new RawDevice(device()).setIrqs(request)).toBe(errno);
        });
      }
    });

    for (const kind of ["intx", "msi", "msix"] as const) {
      describe(`${kind}_enabled`, () => {
        for (const { name, request, errno } of ONE_ENABLED[kind]) {
          it(name, () => {
            const interrupts = device().interrupts[kind];
            requireIndex(interrupts.index);
            requireIndex(request.index);
            interrupts.enable(0, 1);
            try {
              expect(new RawDevice(device()).setIrqs(request)).toBe(errno);
              interrupts.trigger(0);
              expect(interrupts.vector(0).tryRead()).toBe(1n);
            } finally {
              interrupts.disable();
            }
          });
        }
      });
    }
  });
}
