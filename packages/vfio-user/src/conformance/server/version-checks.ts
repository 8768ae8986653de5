import { fstatSync } from "node:fs";
import { demand, NotApplicable } from "../check";
import { u16 } from "../wire/bytes";
import { GET_INFO, VERSION } from "../wire/commands";
import { describe, type Frame } from "../wire/conversation";
import { isError } from "../wire/header-flags";
import { deviceInfo, frame, version } from "../wire/messages";
import { requireRefused } from "./expectations";
import { family } from "./family";
import { capabilityValues, PROPOSAL, type ServerUnderTest } from "./server-under-test";

/** The types of the capabilities, by their names. */
const TYPES: Readonly<Record<string, string>> = {
  max_msg_fds: "number",
  max_data_xfer_size: "number",
  max_dma_maps: "number",
  pgsizes: "number",
  twin_socket: "object",
  write_multiple: "boolean",
};

const u16At = (bytes: Uint8Array, offset: number): number => (bytes[offset] ?? 0) + (bytes[offset + 1] ?? 0) * 256;

function propose(server: ServerUnderTest, body: Uint8Array): Frame {
  const reply = server.connect().ask("VERSION", body);
  demand(!isError(reply), "a reply to VERSION", describe(reply));
  demand(reply.body.length >= 4, "at least 4 bytes, major and minor, behind the header", reply.body.length);
  return reply;
}

function valuesOf({ body }: Frame): Readonly<Record<string, unknown>> {
  const values = capabilityValues(body);
  demand(values !== undefined, "an object `capabilities` in JSON", JSON.stringify(textOf(body)));
  return values;
}

const textOf = (body: Uint8Array): string => new TextDecoder().decode(body.subarray(4));

/** A proposal that must not succeed. */
function refuse(server: ServerUnderTest, what: string, body: Uint8Array): void {
  const conversation = server.connect();
  conversation.send(frame(VERSION, body));
  requireRefused(conversation, what);
}

export const versionChecks = family("version", "VFIO_USER_VERSION", {
  major_is_the_proposed_one: (server) => {
    const { body } = propose(server, version(0, 0, PROPOSAL));
    demand(u16At(body, 0) === 0, "major version 0 in the reply", u16At(body, 0));
  },
  minor_is_at_most_the_proposed_one: (server) => {
    const { body } = propose(server, version(0, 0, PROPOSAL));
    demand(u16At(body, 2) === 0, "minor version 0 in the reply to 0.0", u16At(body, 2));
  },
  a_later_minor_is_accepted: (server) => {
    propose(server, version(0, 0xffff, PROPOSAL));
  },
  an_unknown_major_is_refused: (server) => {
    const conversation = server.connect();
    conversation.send(frame(VERSION, version(0xffff, 0, PROPOSAL)));
    const arrival = requireRefused(conversation, "major version 65535");
    if (arrival !== "closed") {
      const after = conversation.listen();
      demand(after === "closed", "the end of the connection after the error", describe(after));
    }
  },
  data_are_optional: (server) => {
    propose(server, version(0, 0));
  },
  capabilities_are_optional: (server) => {
    propose(server, version(0, 0, "{}"));
  },
  an_unknown_capability_is_ignored: (server) => {
    propose(server, version(0, 0, '{"capabilities":{"x_unknown":[1,{"a":null}]}}'));
  },
  reply_is_json_that_ends_with_nul: (server) => {
    const reply = propose(server, version(0, 0, PROPOSAL));
    if (reply.body.length === 4) return;
    demand(reply.body.at(-1) === 0, "a NUL as the last byte", String(reply.body.at(-1)));
    valuesOf(reply);
  },
  reply_has_the_types_of_the_specification: (server) => {
    const values = valuesOf(propose(server, version(0, 0, PROPOSAL)));
    for (const [name, type] of Object.entries(TYPES)) {
      const value = values[name];
      if (value !== undefined) demand(typeof value === type, `a ${type} for ${name}`, JSON.stringify(value));
    }
  },
  reply_is_a_subset_of_the_proposal: (server) => {
    const values = valuesOf(propose(server, version(0, 0, '{"capabilities":{"max_msg_fds":8}}')));
    const surplus = Object.keys(values).filter((name) => name !== "max_msg_fds");
    demand(surplus.length === 0, "no capability but the proposed max_msg_fds", surplus.join(", "));
  },
  features_are_not_switched_on_unasked: (server) => {
    const values = valuesOf(propose(server, version(0, 0, '{"capabilities":{"max_msg_fds":8}}')));
    const { write_multiple: multiple, twin_socket: twin } = values as {
      write_multiple?: unknown;
      twin_socket?: unknown;
    };
    demand(multiple !== true, "no write_multiple, which was not proposed", "write_multiple: true");
    const supported = (twin as { supported?: unknown } | undefined)?.supported;
    demand(supported !== true, "no twin socket, which was not proposed", "twin_socket.supported: true");
  },
  twin_socket_comes_with_its_descriptor: (server) => {
    const proposal = '{"capabilities":{"max_msg_fds":8,"twin_socket":{"supported":true}}}';
    const reply = propose(server, version(0, 0, proposal));
    const twin = valuesOf(reply)["twin_socket"] as { supported?: unknown; fd_index?: unknown } | undefined;
    if (twin?.supported !== true) {
      throw new NotApplicable("the server offers no twin socket", "none: the capability is optional");
    }
    const { fd_index: index } = twin;
    const fd = typeof index === "number" ? reply.fds?.[index] : undefined;
    demand(
      fd !== undefined,
      "an fd_index of a descriptor that came along",
      `${JSON.stringify(index)}, with ${reply.fds?.length ?? "too many"} descriptors`,
    );
    demand(fstatSync(fd).isSocket(), "a socket at fd_index", "another kind of file");
  },
  must_come_first: (server) => {
    const conversation = server.connect();
    conversation.send(frame(GET_INFO, deviceInfo()));
    requireRefused(conversation, "DEVICE_GET_INFO before VERSION");
  },
  without_its_fields_is_refused: (server) => refuse(server, "a VERSION of 2 bytes", u16(0)),
  without_any_body_is_refused: (server) => refuse(server, "a VERSION without a body", new Uint8Array()),
  broken_json_is_refused: (server) => refuse(server, "data that are no JSON", version(0, 0, '{"capabilities":')),
  capabilities_of_the_wrong_type_are_refused: (server) =>
    refuse(server, "max_msg_fds as text", version(0, 0, '{"capabilities":{"max_msg_fds":"8"}}')),
  data_without_nul_do_no_harm: (server) => {
    const conversation = server.connect();
    conversation.send(frame(VERSION, version(0, 0, "{}").subarray(0, -1)));
    conversation.listen();
  },
  a_second_one_does_no_harm: (server) => {
    const conversation = server.greeted();
    conversation.send(frame(VERSION, version(0, 0, PROPOSAL)));
    const arrival = conversation.listen();
    demand(arrival !== "silence" && arrival !== "malformed", "a reply or the end of the connection", describe(arrival));
  },
  very_long_data_do_no_harm: (server) => {
    const conversation = server.connect();
    conversation.send(frame(VERSION, version(0, 0, `{"x":"${"y".repeat(60_000)}"}`)));
    const arrival = conversation.listen();
    demand(arrival !== "silence" && arrival !== "malformed", "a reply or the end of the connection", describe(arrival));
  },
  deeply_nested_data_do_no_harm: (server) => {
    const conversation = server.connect();
    conversation.send(frame(VERSION, version(0, 0, `{"x":${"[".repeat(8_000)}${"]".repeat(8_000)}}`)));
    const arrival = conversation.listen();
    demand(arrival !== "silence" && arrival !== "malformed", "a reply or the end of the connection", describe(arrival));
  },
  numbers_out_of_range_do_no_harm: (server) => {
    const conversation = server.connect();
    const capabilities = '{"capabilities":{"max_msg_fds":-1,"max_data_xfer_size":1e300,"pgsizes":0}}';
    conversation.send(frame(VERSION, version(0, 0, capabilities)));
    const arrival = conversation.listen();
    demand(arrival !== "silence" && arrival !== "malformed", "a reply or the end of the connection", describe(arrival));
  },
});
