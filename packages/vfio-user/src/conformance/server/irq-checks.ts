import { native } from "@vfio-selftests/native";
import { demand, Departure, NotApplicable } from "../check";
import { type Conversation, describe } from "../wire/conversation";
import { isError } from "../wire/header-flags";
import { irqSet, type IrqSetValues } from "../wire/messages";
import { IRQ_MASKABLE_FLAG } from "./device-facts";
import { requireError, requireSuccess } from "./expectations";
import { family } from "./family";
import type { ServerUnderTest } from "./server-under-test";

const NONE = 1;
const BOOL = 2;
const EVENTFD = 4;
const MASK = 8;
const UNMASK = 16;
const TRIGGER = 32;

const POLLIN = 1;
/** How long an eventfd may take to be signalled, in milliseconds, and how long it must stay silent where none may come. */
const SIGNAL_MS = 2_000;
const QUIET_MS = 50;

/** An eventfd to connect. */
class Event implements Disposable {
  readonly fd = native.eventfd(0, 0);

  require(signalled: boolean, when: string): void {
    const events = native.pollBlocking(this.fd, POLLIN, signalled ? SIGNAL_MS : QUIET_MS);
    const came = events > 0;
    if (came) native.read(this.fd, new Uint8Array(8));
    const word = (is: boolean): string => (is ? `a signalled eventfd ${when}` : `a silent eventfd ${when}`);
    if (came !== signalled) throw new Departure(word(signalled), came ? "a signal" : "no signal");
  }

  [Symbol.dispose](): void {
    native.close(this.fd);
  }
}

function set(conversation: Conversation, values: IrqSetValues, fds: readonly number[] = []): void {
  requireSuccess(conversation.ask("DEVICE_SET_IRQS", irqSet(values), { fds }), 0);
}

/** A connection, and a vector of a type with at least `count` of them. */
function vectors(server: ServerUnderTest, count = 1): { conversation: Conversation; index: number; count: number } {
  const { conversation, facts } = server.device();
  return { conversation, ...facts.eventfdIrq(count) };
}

/** A request that must be refused, with the device's own index unless the values name one. */
function refused(what: string, values: Partial<IrqSetValues>, fds = 0) {
  return (server: ServerUnderTest): void => {
    const { conversation, index } = vectors(server);
    const events = Array.from({ length: fds }, () => native.eventfd(0, 0));
    try {
      const message = irqSet({ flags: EVENTFD | TRIGGER, index, count: 1, ...values });
      requireError(conversation.ask("DEVICE_SET_IRQS", message, { fds: events }), what);
    } finally {
      for (const fd of events) native.close(fd);
    }
  };
}

export const irqChecks = family("set_irqs", "VFIO_USER_DEVICE_SET_IRQS", {
  an_eventfd_is_signalled_by_a_trigger: (server) => {
    const { conversation, index } = vectors(server);
    using event = new Event();
    set(conversation, { flags: EVENTFD | TRIGGER, index, count: 1 }, [event.fd]);
    event.require(false, "before any interrupt");
    set(conversation, { flags: NONE | TRIGGER, index, count: 1 });
    event.require(true, "after the client triggered the interrupt");
  },
  bools_choose_the_vectors: (server) => {
    const { conversation, index } = vectors(server, 2);
    using first = new Event();
    using second = new Event();
    set(conversation, { flags: EVENTFD | TRIGGER, index, count: 2 }, [first.fd, second.fd]);
    set(conversation, { flags: BOOL | TRIGGER, index, count: 2, data: Uint8Array.of(0, 1) });
    second.require(true, "of the vector whose boolean is true");
    first.require(false, "of the vector whose boolean is false");
  },
  start_chooses_the_vector: (server) => {
    const { conversation, index } = vectors(server, 2);
    using first = new Event();
    using second = new Event();
    set(conversation, { flags: EVENTFD | TRIGGER, index, count: 2 }, [first.fd, second.fd]);
    set(conversation, { flags: NONE | TRIGGER, index, start: 1, count: 1 });
    second.require(true, "of vector 1");
    first.require(false, "of vector 0");
  },
  no_descriptor_disconnects: (server) => {
    const { conversation, index } = vectors(server);
    using event = new Event();
    set(conversation, { flags: EVENTFD | TRIGGER, index, count: 1 }, [event.fd]);
    set(conversation, { flags: EVENTFD | TRIGGER, index, count: 1 });
    conversation.ask("DEVICE_SET_IRQS", irqSet({ flags: NONE | TRIGGER, index, count: 1 }));
    event.require(false, "after it was disconnected");
  },
  count_0_disables_the_type: (server) => {
    const { conversation, index } = vectors(server);
    using event = new Event();
    set(conversation, { flags: EVENTFD | TRIGGER, index, count: 1 }, [event.fd]);
    set(conversation, { flags: NONE | TRIGGER, index });
    conversation.ask("DEVICE_SET_IRQS", irqSet({ flags: NONE | TRIGGER, index, count: 1 }));
    event.require(false, "after the type was disabled");
  },
  another_eventfd_replaces_the_first: (server) => {
    const { conversation, index } = vectors(server);
    using first = new Event();
    using second = new Event();
    set(conversation, { flags: EVENTFD | TRIGGER, index, count: 1 }, [first.fd]);
    set(conversation, { flags: EVENTFD | TRIGGER, index, count: 1 }, [second.fd]);
    set(conversation, { flags: NONE | TRIGGER, index, count: 1 });
    second.require(true, "that was connected last");
    first.require(false, "that another one replaced");
  },
  a_maskable_type_takes_mask_and_unmask: (server) => {
    const { conversation, facts } = server.device();
    const maskable = facts.irqs().find(({ flags }) => (flags & IRQ_MASKABLE_FLAG) !== 0);
    if (maskable === undefined) throw new NotApplicable("no type is maskable", "serve a device with INTx");
    const { index } = maskable;
    using event = new Event();
    set(conversation, { flags: EVENTFD | TRIGGER, index, count: 1 }, [event.fd]);
    for (const action of [MASK, UNMASK]) {
      const reply = conversation.ask("DEVICE_SET_IRQS", irqSet({ flags: NONE | action, index, count: 1 }));
      const name = action === MASK ? "MASK" : "UNMASK";
      demand(!isError(reply), `${name} of a type with VFIO_IRQ_INFO_MASKABLE`, describe(reply));
    }
  },
  index_beyond_the_last_is_an_error: (server) => {
    const { conversation, facts } = server.device();
    for (const index of [facts.irqCount, 0xffff_ffff]) {
      const message = irqSet({ flags: NONE | TRIGGER, index, count: 1 });
      requireError(conversation.ask("DEVICE_SET_IRQS", message), `interrupt type ${index}`);
    }
  },
  start_beyond_the_last_is_an_error: refused("a start of 2^31", { start: 0x8000_0000 }, 1),
  count_beyond_the_last_is_an_error: refused("65,536 vectors", { flags: NONE | TRIGGER, count: 0x1_0000 }),
  start_and_count_must_not_wrap: refused("vectors from 2^32 - 1 on, 2 of them", {
    flags: NONE | TRIGGER,
    start: 0xffff_ffff,
    count: 2,
  }),
  two_kinds_of_data_are_an_error: refused("two DATA flags", {
    flags: NONE | BOOL | TRIGGER,
    data: Uint8Array.of(1),
  }),
  two_actions_are_an_error: refused("two ACTION flags", { flags: NONE | TRIGGER | MASK }),
  no_data_flag_is_an_error: refused("no DATA flag", { flags: TRIGGER }),
  no_action_is_an_error: refused("no ACTION flag", { flags: NONE }),
  unknown_flags_are_an_error: refused("flag 0x40", { flags: NONE | TRIGGER | 0x40 }),
  too_few_bools_are_an_error: (server) => {
    const { conversation, index } = vectors(server);
    using event = new Event();
    set(conversation, { flags: EVENTFD | TRIGGER, index, count: 1 }, [event.fd]);
    const message = irqSet({ flags: BOOL | TRIGGER, index, count: 1 });
    requireError(conversation.ask("DEVICE_SET_IRQS", message), "1 vector and no booleans");
  },
  too_many_eventfds_are_an_error: refused("2 eventfds for 1 vector", {}, 2),
  argsz_below_the_fields_is_an_error: refused("an argsz of 19", { flags: NONE | TRIGGER, argsz: 19 }),
  truncated_request_is_an_error: (server) => {
    const { conversation, index } = vectors(server);
    for (const length of [0, 4, 19]) {
      const message = irqSet({ flags: NONE | TRIGGER, index }).subarray(0, length);
      requireError(conversation.ask("DEVICE_SET_IRQS", message), `a body of ${length} bytes`);
    }
  },
});
