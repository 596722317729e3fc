/** Commands that read one container. */
import type { ContainerDetails } from "../api.ts";
import { atLeast, between, defineCommand, exactly } from "../command.ts";
import { ExitStatus } from "../context.ts";
import { alignColumns } from "../format/table.ts";
import { finders, inspectEach } from "../inspect.ts";
import { hostPort } from "./ports.ts";

export const inspect = defineCommand({
  name: "container inspect",
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Display detailed information on one or more containers",
  flags: {
    format: { kind: "string", short: "f", help: "Format with a Go template, or `json`" },
    size: { kind: "bool", short: "s", help: "Show sizes" },
  },
  arity: atLeast(1),
  examples: ["container inspect -f '{{.State.Status}}' web"],
  run: (context, { flags, args }) =>
    inspectEach(context, args, flags.format, (name) => finders.container(context, name, flags.size)),
});

export const top = defineCommand({
  name: "container top",
  usage: "CONTAINER [ps OPTIONS]",
  summary: "Display the running processes of a container",
  aliases: ["container top", "top"],
  flags: {},
  arity: atLeast(1),
  interspersed: false,
  examples: ["top web", "top web -o pid,args"],
  async run(context, { args: [name = "", ...options] }) {
    const { Titles, Processes } = await context.client.call<{ Titles: string[]; Processes: string[][] }>(
      "GET",
      `/containers/${encodeURIComponent(name)}/top`,
      { query: { ps_args: options.length > 0 ? options.join(" ") : undefined } },
    );
    context.line(alignColumns([Titles, ...Processes].map((cells) => cells.join("\t")).join("\n"), 20));
    return 0;
  },
});

export const port = defineCommand({
  name: "container port",
  usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
  summary: "List port mappings or a specific mapping for the container",
  aliases: ["container port", "port"],
  flags: {},
  arity: between(1, 2),
  examples: ["port web 80/tcp"],
  async run(context, { args: [name = "", wanted] }) {
    const details = await context.client.call<ContainerDetails>(
      "GET",
      `/containers/${encodeURIComponent(name)}/json`,
    );
    const ports = details.NetworkSettings?.Ports ?? {};
    if (wanted !== undefined) {
      const key = wanted.includes("/") ? wanted : `${wanted}/tcp`;
      const bindings = ports[key];
      if (!bindings) throw new ExitStatus(1, `Error: No public port '${wanted}' published for ${name}`);
      for (const { HostIp, HostPort } of bindings) context.line(hostPort(HostIp, HostPort));
      return 0;
    }
    for (const key of Object.keys(ports).sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))) {
      for (const { HostIp, HostPort } of ports[key] ?? [])
        context.line(`${key} -> ${hostPort(HostIp, HostPort)}`);
    }
    return 0;
  },
});

const kinds = ["C", "A", "D"];

export const diff = defineCommand({
  name: "container diff",
  usage: "CONTAINER",
  summary: "Inspect changes to files or directories on a container's filesystem",
  aliases: ["container diff", "diff"],
  flags: {},
  arity: exactly(1),
  examples: ["diff web"],
  async run(context, { args: [name = ""] }) {
    const path = `/containers/${encodeURIComponent(name)}/changes`;
    const changes = await context.client.call<{ Kind: number; Path: string }[] | null>("GET", path);
    context.out((changes ?? []).map(({ Kind, Path }) => `${kinds[Kind] ?? "?"} ${Path}\n`).join(""));
    return 0;
  },
});
