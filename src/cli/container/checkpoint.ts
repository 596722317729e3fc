/** States of a container's processes, kept to go on from. */
import { resolve } from "node:path";
import { defineCommand, exactly } from "../command.ts";
import { renderListing } from "../format/listing.ts";

const at = (container: string) => `/containers/${encodeURIComponent(container)}/checkpoints`;
const directory = {
  kind: "string",
  value: "directory",
  help: "Directory of the engine's machine that checkpoints are in",
} as const;
/** The engine has no working directory that people know. */
export const checkpointDirectory = (path: string | undefined) => (path ? resolve(path) : undefined);

export const create = defineCommand({
  name: "checkpoint create",
  usage: "[OPTIONS] CONTAINER CHECKPOINT",
  summary: "Create a checkpoint from a running container",
  aliases: ["checkpoint create"],
  flags: {
    "checkpoint-dir": directory,
    "leave-running": { kind: "bool", help: "Leave the container running" },
  },
  arity: exactly(2),
  examples: ["checkpoint create web before-update"],
  async run(context, { flags, args: [container = "", CheckpointID = ""] }) {
    const CheckpointDir = checkpointDirectory(flags["checkpoint-dir"]) ?? "";
    const body = { CheckpointID, CheckpointDir, Exit: !flags["leave-running"] };
    await context.client.call("POST", at(container), { body });
    context.line(CheckpointID);
    return 0;
  },
});

export const ls = defineCommand({
  name: "checkpoint ls",
  usage: "[OPTIONS] CONTAINER",
  summary: "List checkpoints for a container",
  aliases: ["checkpoint ls", "checkpoint list"],
  flags: { "checkpoint-dir": directory },
  arity: exactly(1),
  examples: ["checkpoint ls web"],
  async run(context, { flags, args: [container = ""] }) {
    const query = { dir: checkpointDirectory(flags["checkpoint-dir"]) };
    const rows = await context.client.call<{ Name: string }[]>("GET", at(container), { query });
    const headers = { Name: "CHECKPOINT NAME" };
    context.out(await renderListing({ format: undefined, columns: ["Name"], headers, rows }));
    return 0;
  },
});

export const rm = defineCommand({
  name: "checkpoint rm",
  usage: "[OPTIONS] CONTAINER CHECKPOINT",
  summary: "Remove a checkpoint",
  aliases: ["checkpoint rm", "checkpoint remove"],
  flags: { "checkpoint-dir": directory },
  arity: exactly(2),
  examples: ["checkpoint rm web before-update"],
  async run(context, { flags, args: [container = "", name = ""] }) {
    const query = { dir: checkpointDirectory(flags["checkpoint-dir"]) };
    await context.client.call("DELETE", `${at(container)}/${encodeURIComponent(name)}`, { query });
    return 0;
  },
});
