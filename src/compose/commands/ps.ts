import { NotImplemented } from "../../lib/errors.ts";
import { ComposeError } from "../model/errors.ts";
import { label } from "../plan/observed.ts";
import { type ContainerDetails, type ContainerSummary, nameOf } from "../run/engine.ts";
import { formatTable } from "../run/output.ts";
import type { Session } from "../run/session.ts";
import { defineCommand } from "./command.ts";
import { selectContainers } from "./selection.ts";
import { ago, elide } from "./text.ts";

const states = ["paused", "restarting", "removing", "running", "dead", "created", "exited"];

export const ps = defineCommand({
  name: "ps",
  usage: "[OPTIONS] [SERVICE...]",
  summary: "List containers",
  flags: {
    all: {
      type: "bool",
      short: "a",
      help: "Show all stopped containers (including those created by the run command)",
    },
    quiet: { type: "bool", short: "q", help: "Only display IDs" },
    format: { type: "string", help: "Format output: 'table' or 'json'", default: "table" },
    services: { type: "bool", help: "Display services" },
    status: { type: "list", help: `Filter services by status. Values: [${states.join(" | ")}]` },
    filter: { type: "string", help: "Filter services by a property (supported filters: status)" },
    orphans: { type: "bool", help: "Include orphaned services (not declared by project)", default: true },
    "no-trunc": { type: "bool", help: "Don't truncate output" },
  },
  async run(session, flags, args) {
    const statuses = [...flags.status];
    if (flags.filter !== undefined) {
      const [, value] = /^status=(.+)$/.exec(flags.filter) ?? [];
      if (!value)
        throw ComposeError.at(
          undefined,
          `unknown filter ${JSON.stringify(flags.filter)}`,
          "only status=<state> is known",
        );
      statuses.push(value);
    }
    for (const status of statuses)
      if (!states.includes(status))
        throw ComposeError.at(
          undefined,
          `unknown status ${JSON.stringify(status)}`,
          `one of ${states.join(", ")}`,
        );
    const { containers, project } = await selectContainers(session, args, {
      all: flags.all || statuses.length > 0,
      oneOff: flags.all,
    });
    const shown = containers.filter(
      (container) =>
        (statuses.length === 0 || statuses.includes(container.State)) &&
        (flags.orphans || !project || project.services[container.Labels[label.service] ?? ""] !== undefined),
    );
    if (flags.quiet) session.out.write(shown.map(({ Id }) => `${Id}\n`).join(""));
    else if (flags.services) {
      const names = new Set(shown.map(({ Labels }) => Labels[label.service] ?? ""));
      session.out.write([...names].map((name) => `${name}\n`).join(""));
    } else if (flags.format === "json") await printJson(session, shown, flags["no-trunc"]);
    else if (flags.format === "table") printTable(session, shown, flags["no-trunc"]);
    else
      throw new NotImplemented(
        `ps --format ${JSON.stringify(flags.format)}: only table and json are supported`,
      );
    return 0;
  },
});

function printTable(session: Session, containers: ContainerSummary[], whole: boolean): void {
  const rows = containers.map((container) => [
    nameOf(container),
    container.Image,
    commandOf(container, whole),
    container.Labels[label.service] ?? "",
    ago(container.Created),
    container.Status,
    formatPorts(container),
  ]);
  session.out.write(formatTable(["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"], rows));
}

async function printJson(session: Session, containers: ContainerSummary[], whole: boolean): Promise<void> {
  for (const container of containers) {
    const details = await session.engine.inspect(container.Id);
    session.out.write(`${JSON.stringify(jsonEntry(container, details, whole))}\n`);
  }
}

function jsonEntry(container: ContainerSummary, details: ContainerDetails, whole: boolean) {
  const mounts = container.Mounts ?? [];
  const created = new Date(container.Created * 1000).toISOString();
  return {
    Command: commandOf(container, whole),
    CreatedAt: `${created.slice(0, 10)} ${created.slice(11, 19)} +0000 UTC`,
    ExitCode: details.State.ExitCode,
    Health: details.State.Health?.Status ?? "",
    ID: whole ? container.Id : container.Id.slice(0, 12),
    Image: container.Image,
    Labels: Object.entries(container.Labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(","),
    LocalVolumes: String(mounts.filter(({ Type }) => Type === "volume").length),
    Mounts: mounts
      .map(({ Name, Source }) => elide(Name ?? Source, whole ? Number.POSITIVE_INFINITY : 15))
      .join(","),
    Name: nameOf(container),
    Names: nameOf(container),
    Networks: Object.keys(container.NetworkSettings?.Networks ?? {}).join(","),
    Ports: formatPorts(container),
    Project: container.Labels[label.project] ?? "",
    Publishers: (container.Ports ?? []).map(({ IP, PrivatePort, PublicPort, Type }) => ({
      URL: IP ?? "",
      TargetPort: PrivatePort,
      PublishedPort: PublicPort ?? 0,
      Protocol: Type,
    })),
    RunningFor: ago(container.Created),
    Service: container.Labels[label.service] ?? "",
    Size: "0B",
    State: container.State,
    Status: container.Status,
  };
}

function commandOf({ Command }: ContainerSummary, whole: boolean): string {
  return JSON.stringify(whole ? Command : elide(Command, 20));
}

/** `0.0.0.0:8080->80/tcp, 443/tcp` */
export function formatPorts({ Ports }: Pick<ContainerSummary, "Ports">): string {
  const texts = (Ports ?? [])
    .toSorted((a, b) => a.PrivatePort - b.PrivatePort || (a.IP ?? "").localeCompare(b.IP ?? ""))
    .map(({ IP, PrivatePort, PublicPort, Type }) => {
      const target = `${PrivatePort}/${Type}`;
      if (!PublicPort) return target;
      const address = IP?.includes(":") ? `[${IP}]` : (IP ?? "");
      return `${address}:${PublicPort}->${target}`;
    });
  return [...new Set(texts)].join(", ");
}
