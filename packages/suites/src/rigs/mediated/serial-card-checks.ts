import { Eventfd } from "@vfio-selftests/core";
import {
  VFIO_IRQ_SET_ACTION_MASK as MASK,
  VFIO_IRQ_SET_ACTION_TRIGGER as TRIGGER,
  VFIO_IRQ_SET_ACTION_UNMASK as UNMASK,
  VFIO_IRQ_SET_DATA_BOOL as BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD as EVENTFD,
  VFIO_IRQ_SET_DATA_NONE as NONE,
  VFIO_PCI_INTX_IRQ_INDEX as INTX,
  VFIO_PCI_MSI_IRQ_INDEX as MSI,
  VFIO_PCI_MSIX_IRQ_INDEX as MSIX,
} from "@vfio-selftests/core/uapi";
import { assertNoInterrupt } from "@vfio-selftests/harness";
import {
  CONFIG_REGION,
  DATA,
  DATA_READY,
  FIFO_CONTROL,
  FIFO_ON,
  IDLE,
  INTERRUPT_ENABLE,
  LINE_STATUS,
  SCRATCH,
  type SerialCard,
  TRANSMITTER_EMPTY,
} from "./serial-card";

/** Identity, sizes, registers that keep what is written, and each port's bytes coming back in order. */
export function expectSerialCard(card: SerialCard): void {
  expect([...card.read(CONFIG_REGION, 0, 4)]).toEqual([0x48, 0x43, 0x53, 0x32]);
  expect([0, 1, 2, CONFIG_REGION].map((region) => card.regionSize(region))).toEqual([8n, 8n, 0n, 0xffn]);
  for (const port of [0, 1]) {
    card.write(port, SCRATCH, 0x50 + port);
    card.write(port, FIFO_CONTROL, FIFO_ON);
    expect([...card.read(port, LINE_STATUS)]).toEqual([IDLE]);
    card.write(port, DATA, 0x61 + port);
    card.write(port, DATA, 0x71 + port);
    expect([...card.read(port, LINE_STATUS)]).toEqual([DATA_READY]);
  }
  for (const port of [0, 1]) {
    expect([...card.read(port, SCRATCH)]).toEqual([0x50 + port]);
    expect([...card.read(port, DATA)]).toEqual([0x61 + port]);
    expect([...card.read(port, DATA)]).toEqual([0x71 + port]);
    expect([...card.read(port, LINE_STATUS)]).toEqual([IDLE]);
  }
}

/** INTx masks itself until it is unmasked; MSI does not; there is no MSI-X. */
export function expectInterrupts(card: SerialCard): void {
  using eventfd = new Eventfd("serial card");
  const interrupt = (): void => card.write(0, INTERRUPT_ENABLE, TRANSMITTER_EMPTY);
  const fd = Int32Array.of(eventfd.fd);
  expect(card.setIrqs(EVENTFD | TRIGGER, INTX, 1, fd)).toBe("ok");
  interrupt();
  expect(eventfd.tryRead()).toBe(1n);
  interrupt();
  assertNoInterrupt(eventfd);
  expect(card.setIrqs(NONE | UNMASK, INTX, 1)).toBe("ok");
  interrupt();
  expect(eventfd.tryRead()).toBe(1n);
  expect(card.setIrqs(BOOL | UNMASK, INTX, 1, Uint8Array.of(1))).toBe("ok");
  expect(card.setIrqs(BOOL | MASK, INTX, 1, Uint8Array.of(1))).toBe("ok");
  interrupt();
  assertNoInterrupt(eventfd);
  expect(card.setIrqs(NONE | TRIGGER, INTX, 0)).toBe("ok");
  expect(card.setIrqs(NONE | UNMASK, INTX, 1)).toBe("EINVAL");
  expect(card.setIrqs(EVENTFD | TRIGGER, MSI, 1, fd)).toBe("ok");
  expect(card.setIrqs(NONE | TRIGGER, MSI, 1)).toBe("ok");
  interrupt();
  expect(eventfd.tryRead()).toBe(2n);
  expect(card.setIrqs(NONE | MASK, MSI, 1)).toBe("ENOTTY");
  expect(card.setIrqs(NONE | TRIGGER, MSI, 0)).toBe("ok");
  interrupt();
  assertNoInterrupt(eventfd);
  expect(card.setIrqs(EVENTFD | TRIGGER, MSIX, 1, fd)).toBe("ENOTTY");
  // vfio_set_irqs_validate_and_prepare: more than there are, without data, data that lies.
  expect(card.setIrqs(EVENTFD | TRIGGER, 5, 1, fd)).toBe("EINVAL");
  expect(card.setIrqs(EVENTFD | TRIGGER, MSI, 6, fd)).toBe("EINVAL");
  expect(card.setIrqs(EVENTFD | TRIGGER, MSI, 1)).toBe("EINVAL");
}
