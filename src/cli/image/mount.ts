/** Looking inside an image: its tree, read-only, at a directory of the engine's machine. */
import { atLeast, between, defineCommand } from "../command.ts";
import { forEach } from "../each.ts";
import { alignColumns } from "../format/table.ts";

const platform = { kind: "string", help: "Platform to choose of an image for several" } as const;

export const mount = defineCommand({
  name: "image mount",
  usage: "[OPTIONS] [IMAGE]",
  summary: "Mount an image read-only and print where; without IMAGE list what is mounted",
  flags: { platform },
  arity: between(0, 1),
  examples: ["image mount app", 'ls "$(gantry image mount app)"/etc'],
  async run(context, { flags, args: [name] }) {
    if (name === undefined) {
      const mounts = await context.client.call<{ Id: string; Path: string }[]>("GET", "/mounts/images");
      const rows = mounts.map(({ Id, Path }) => `${Id.replace(/^sha256:/, "").slice(0, 12)}\t${Path}`);
      context.line(alignColumns(["IMAGE ID\tPATH", ...rows].join("\n")));
      return 0;
    }
    const { Path } = await context.client.call<{ Path: string }>("POST", `/mounts/images/${name}`, {
      query: { platform: flags.platform },
    });
    context.line(Path);
    return 0;
  },
});

export const unmount = defineCommand({
  name: "image unmount",
  usage: "[OPTIONS] IMAGE [IMAGE...]",
  summary: "Unmount images",
  aliases: ["image unmount", "image umount"],
  flags: { platform },
  arity: atLeast(1),
  examples: ["image unmount app"],
  run: (context, { flags, args }) =>
    forEach(context, args, async (name) => {
      await context.client.call("DELETE", `/mounts/images/${name}`, { query: { platform: flags.platform } });
      return name;
    }),
});
