import { demand } from "../check";
import { join, NO_BYTES, u32, u32At, u64, u64At } from "../wire/bytes";
import { type Conversation, describe, type Frame } from "../wire/conversation";
import { GET, LOGGING_REPORT, LOGGING_START, LOGGING_STOP, MIG_DEVICE_STATE, SET } from "../wire/features";
import { isError } from "../wire/header-flags";
import { dmaMap, feature } from "../wire/messages";
import { requireArgszObeyed, requireError, requireSuccess } from "./expectations";
import { family } from "./family";
import { MigratingDevice, State } from "./migration-device";
import type { ServerUnderTest } from "./server-under-test";

const PAGE = 4096n;
/** Bytes of a report's fields. */
const REPORT = 24;

/** A device that each check finds running, and leaves so: servers need not forget its state with their client. */
function onDevice(
  checks: Readonly<Record<string, (device: MigratingDevice) => void>>,
): Readonly<Record<string, (server: ServerUnderTest) => void>> {
  const entries = Object.entries(checks).map(([name, check]) => {
    const run = (server: ServerUnderTest): void => {
      const device = new MigratingDevice(server);
      try {
        check(device);
      } finally {
        device.leave();
      }
    };
    return [name, run] as const;
  });
  return Object.fromEntries(entries);
}

const NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(State).map(([name, state]) => [state, name]),
);

export const migrationStateChecks = family(
  "mig_state",
  "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE",
  onDevice({
    reply_to_a_set_is_its_request: ({ conversation }) => {
      const request = feature(MIG_DEVICE_STATE | SET, u32(State.stop, 0xffff_ffff));
      const reply = conversation.ask("DEVICE_FEATURE", request);
      requireSuccess(reply, request.length);
      demand(Buffer.from(request).equals(reply.body), "the request's payload", describe(reply));
    },
    every_way_from_state_to_state_leads_there: (device) => {
      const states = device.states();
      for (const from of states) {
        for (const to of states) {
          // Without data, RESUMING leads nowhere.
          if ((from === State.resuming && to !== from) || (from === State.stopCopy && to === State.preCopy)) continue;
          device.go(from, to);
          const state = device.state();
          demand(state === to, `state ${NAMES[to]} after a way from ${NAMES[from]}`, `state ${state}`);
          device.restart();
        }
      }
    },
    stop_copy_to_pre_copy_is_an_error: (device) => {
      device.go(State.stopCopy);
      requireError(device.set(State.preCopy), "STOP_COPY to PRE_COPY");
      demand(device.state() === State.stopCopy, "still STOP_COPY", `state ${device.state()}`);
    },
    a_reset_leads_back_to_running: (device) => {
      for (const state of [State.stop, State.stopCopy, State.resuming]) {
        device.go(state);
        device.reset();
        demand(device.state() === State.running, `RUNNING after a reset in ${NAMES[state]}`, `state ${device.state()}`);
      }
    },
  }),
);

export const migratedDataChecks = family(
  "mig_data",
  "VFIO_USER_MIG_DATA_READ",
  onDevice({
    reply_has_the_size_of_its_data: (device) => {
      device.go(State.stopCopy);
      for (const size of [1, 65_536]) {
        const reply = device.read(size);
        demand(!isError(reply) && reply.body.length >= 8, "migration data", describe(reply));
        const [argsz, came] = [u32At(reply.body, 0), u32At(reply.body, 4)];
        const { length } = reply.body;
        const good = came >= 1 && came <= size && argsz === 8 + came && length === argsz;
        demand(good, `1 to ${size} bytes of data, and their size`, `argsz ${argsz}, size ${came}, ${length} bytes`);
      }
    },
    fewer_than_asked_for_are_the_last: (device) => {
      device.go(State.stopCopy);
      device.saved();
      const reply = device.read(64);
      demand(!isError(reply) && u32At(reply.body, 4) === 0, "no more data", describe(reply));
    },
    argsz_too_small_is_obeyed: (device) => {
      device.go(State.stopCopy);
      requireArgszObeyed(device.read(64, 8 + 1), 8 + 1, 8 + 64);
    },
    saved_data_restore_a_device: (device) => {
      device.go(State.stopCopy);
      const data = device.saved();
      device.go(State.stop, State.resuming);
      device.restore(data);
      device.go(State.stop, State.running);
    },
    data_cut_short_are_an_error: (device) => {
      device.go(State.stopCopy);
      const data = device.saved();
      device.go(State.stop, State.resuming);
      device.restore(data.subarray(0, data.length - 1));
      requireError(device.set(State.stop), "data without their last byte");
      device.restart();
    },
    the_other_direction_is_an_error: (device) => {
      device.go(State.stopCopy);
      requireError(device.write(u32(0)), "MIG_DATA_WRITE in STOP_COPY");
      device.go(State.resuming);
      requireError(device.read(64), "MIG_DATA_READ in RESUMING");
    },
  }),
);

function start(conversation: Conversation, ranges: readonly bigint[], pageSize = PAGE): Frame {
  const data = join(u64(pageSize), u32(ranges.length / 2, 0), u64(...ranges));
  return conversation.ask("DEVICE_FEATURE", feature(LOGGING_START | SET, data));
}

function report(conversation: Conversation, iova: bigint, length: bigint, pageSize: bigint, room: number): Frame {
  const request = feature(LOGGING_REPORT | GET, u64(iova, length, pageSize), 8 + REPORT + room);
  return conversation.ask("DEVICE_FEATURE", request);
}

/** A connection on which 64 pages are mapped and logged. */
function logged({ conversation }: MigratingDevice): Conversation {
  requireSuccess(conversation.ask("DMA_MAP", dmaMap({ address: 0n, size: 64n * PAGE })), 0);
  requireSuccess(start(conversation, [0n, 64n * PAGE]), 8 + 16 + 16);
  return conversation;
}

export const dmaLoggingChecks = family(
  "dma_logging",
  "VFIO_DEVICE_FEATURE_DMA_LOGGING_START",
  onDevice({
    reply_to_a_start_is_its_request_with_a_page_size: ({ conversation }) => {
      const reply = start(conversation, [PAGE, 2n * PAGE]);
      requireSuccess(reply, 8 + 16 + 16);
      const [pageSize, count] = [u64At(reply.body, 8), u32At(reply.body, 16)];
      const same = count === 1 && u64At(reply.body, 24) === PAGE && u64At(reply.body, 32) === 2n * PAGE;
      const power = pageSize > 0n && (pageSize & (pageSize - 1n)) === 0n;
      demand(same && power, "the ranges of the request, and a power of two", describe(reply));
    },
    no_ranges_are_all_writes: ({ conversation }) => {
      requireSuccess(start(conversation, []), 8 + 16);
      requireSuccess(conversation.ask("DEVICE_FEATURE", feature(LOGGING_STOP | SET, NO_BYTES)), 8);
    },
    a_report_is_its_request_with_a_bitmap: (device) => {
      const conversation = logged(device);
      const reply = report(conversation, 0n, 64n * PAGE, PAGE, 8);
      requireSuccess(reply, 8 + REPORT + 8);
      const fields = [8, 16, 24].map((at) => u64At(reply.body, at));
      demand(fields.join() === [0n, 64n * PAGE, PAGE].join(), "iova, length and page size", describe(reply));
      demand(u64At(reply.body, 8 + REPORT) === 0n, "no page of a device that does nothing", describe(reply));
    },
    argsz_too_small_for_the_bitmap_is_obeyed: (device) => {
      const conversation = logged(device);
      requireArgszObeyed(report(conversation, 0n, 64n * PAGE, PAGE, 4), 8 + REPORT + 4, 8 + REPORT + 8);
    },
    a_page_size_of_no_power_of_two_is_an_error: (device) => {
      requireError(report(logged(device), 0n, 48n * PAGE, 3n * PAGE, 8), "a page size of 12 KiB");
    },
    a_report_without_a_start_is_an_error: ({ conversation }) => {
      requireSuccess(conversation.ask("DMA_MAP", dmaMap({ address: 0n, size: 64n * PAGE })), 0);
      requireError(report(conversation, 0n, 64n * PAGE, PAGE, 8), "a report of a log that was not started");
    },
  }),
);
