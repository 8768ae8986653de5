import { demand, NotApplicable } from "../check";
import { u32, u32At, u64At } from "../wire/bytes";
import { type Conversation } from "../wire/conversation";
import { GET, MIG_DEVICE_STATE, MIGRATION, PROBE, SET } from "../wire/features";
import { isError } from "../wire/header-flags";
import { feature } from "../wire/messages";
import { requireArgszObeyed, requireError, requireSuccess } from "./expectations";
import { family } from "./family";
import type { ServerUnderTest } from "./server-under-test";

const UNKNOWN = 0xffff;
const STOP_COPY = 1n;
const ERROR_STATE = 0;
const RUNNING = 2;

/** A connection to a server whose device can migrate. */
function migratable(server: ServerUnderTest): Conversation {
  const conversation = server.greeted();
  const reply = conversation.ask("DEVICE_FEATURE", feature(MIGRATION | GET | PROBE));
  if (!isError(reply)) return conversation;
  throw new NotApplicable("the device cannot migrate", "none: the feature is optional");
}

export const featureChecks = family("device_feature", "VFIO_USER_DEVICE_FEATURE", {
  an_unknown_feature_is_an_error: (server) => {
    const conversation = server.greeted();
    for (const method of [GET, SET, PROBE, PROBE | GET]) {
      requireError(conversation.ask("DEVICE_FEATURE", feature(UNKNOWN | method)), "feature 65535");
    }
  },
  get_and_set_at_once_are_an_error: (server) => {
    requireError(server.greeted().ask("DEVICE_FEATURE", feature(MIGRATION | GET | SET)), "GET and SET without PROBE");
  },
  no_method_is_an_error: (server) => {
    requireError(server.greeted().ask("DEVICE_FEATURE", feature(MIGRATION)), "neither GET nor SET nor PROBE");
  },
  truncated_request_is_an_error: (server) => {
    const body = feature(MIGRATION | PROBE).subarray(0, 7);
    requireError(server.greeted().ask("DEVICE_FEATURE", body), "a body of 7 bytes");
  },
  reply_to_a_probe_is_its_request: (server) => {
    const conversation = migratable(server);
    const request = feature(MIGRATION | GET | PROBE);
    const reply = conversation.ask("DEVICE_FEATURE", request);
    requireSuccess(reply, request.length);
    demand(
      u32At(reply.body, 4) === u32At(request, 4),
      "the flags of the request",
      `0x${u32At(reply.body, 4).toString(16)}`,
    );
  },
  a_device_that_migrates_has_stop_copy: (server) => {
    const reply = migratable(server).ask("DEVICE_FEATURE", feature(MIGRATION | GET, undefined, 16));
    requireSuccess(reply, 16);
    const flags = u64At(reply.body, 8);
    demand((flags & STOP_COPY) !== 0n, "VFIO_MIGRATION_STOP_COPY", `flags 0x${flags.toString(16)}`);
  },
  argsz_too_small_is_obeyed: (server) => {
    const conversation = migratable(server);
    for (const argsz of [8, 15]) {
      const reply = conversation.ask("DEVICE_FEATURE", feature(MIGRATION | GET, undefined, argsz));
      requireArgszObeyed(reply, argsz, 16);
    }
  },
  a_device_runs_when_it_starts: (server) => {
    const reply = migratable(server).ask("DEVICE_FEATURE", feature(MIG_DEVICE_STATE | GET, undefined, 16));
    requireSuccess(reply, 16);
    demand(u32At(reply.body, 8) === RUNNING, `state ${RUNNING}, RUNNING`, u32At(reply.body, 8));
  },
  states_that_are_none_are_an_error: (server) => {
    const conversation = migratable(server);
    for (const state of [ERROR_STATE, 8, 0xffff_ffff]) {
      const reply = conversation.ask("DEVICE_FEATURE", feature(MIG_DEVICE_STATE | SET, u32(state, 0)));
      requireError(reply, `a transition to state ${state}`);
    }
  },
});

export const migrationDataChecks = family("mig_data", "VFIO_USER_MIG_DATA_READ", {
  a_running_device_has_none: (server) => {
    const conversation = server.greeted();
    requireError(conversation.ask("MIG_DATA_READ", u32(8 + 64, 64)), "MIG_DATA_READ of a running device");
  },
  a_running_device_takes_none: (server) => {
    const conversation = server.greeted();
    const reply = conversation.ask("MIG_DATA_WRITE", Buffer.concat([u32(8 + 4, 4), new Uint8Array(4)]));
    requireError(reply, "MIG_DATA_WRITE to a running device");
  },
  more_data_than_came_are_an_error: (server) => {
    const conversation = server.greeted();
    requireError(conversation.ask("MIG_DATA_WRITE", u32(8 + 4, 0xffff_ffff)), "a size of 2^32 - 1 without data");
  },
});
