/** images, ls, port, top, version, events, volumes: what is there. */
import type { ApiClient } from "../../api/client/index.ts";
import { NotFound } from "../../lib/errors.ts";
import { ComposeError } from "../model/errors.ts";
import { composeVersion, label } from "../plan/observed.ts";
import { type ContainerSummary, isOneOff, nameOf, numberOf } from "../run/engine.ts";
import { formatTable } from "../run/output.ts";
import { defineCommand } from "./command.ts";
import { oneContainer, selectContainers } from "./selection.ts";
import { ago, formatSize } from "./text.ts";

export const images = defineCommand({
  name: "images",
  usage: "[OPTIONS] [SERVICE...]",
  summary: "List images used by the created containers",
  flags: {
    format: { type: "string", help: "Format the output. Values: [table | json]", default: "table" },
    quiet: { type: "bool", short: "q", help: "Only display IDs" },
  },
  async run(session, flags, args) {
    const { containers } = await selectContainers(session, args, { all: true });
    const entries = await Promise.all(
      containers.map(async (container) => ({
        container,
        image: await session.engine.image(container.ImageID),
      })),
    );
    if (flags.quiet) {
      const ids = new Set(containers.map(({ ImageID }) => ImageID.replace(/^sha256:/, "")));
      session.out.write([...ids].map((id) => `${id}\n`).join(""));
      return 0;
    }
    const rows = entries.map(({ container, image }) => {
      const [repository = "<none>", tag = "<none>"] = image?.RepoTags?.[0]?.split(/:(?=[^:/]*$)/) ?? [];
      const platform = image ? [image.Os, image.Architecture, image.Variant].filter(Boolean).join("/") : "";
      return { container, image, repository, tag, platform };
    });
    if (flags.format === "json") {
      const data = rows.map(({ container, image, repository, tag, platform }) => ({
        ID: container.ImageID,
        ContainerName: nameOf(container),
        Repository: repository,
        Tag: tag,
        Platform: platform,
        Size: image?.Size ?? 0,
        Created: image?.Created,
      }));
      session.out.write(`${JSON.stringify(data)}\n`);
    } else if (flags.format === "table")
      session.out.write(
        formatTable(
          ["CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE", "CREATED"],
          rows.map(({ container, image, repository, tag, platform }) => [
            nameOf(container),
            repository,
            tag,
            platform,
            container.ImageID.replace(/^sha256:/, "").slice(0, 12),
            formatSize(image?.Size ?? 0),
            image ? ago(Date.parse(image.Created) / 1000) : "N/A",
          ]),
        ),
      );
    else
      throw ComposeError.at(undefined, `unsupported format ${JSON.stringify(flags.format)}`, "table or json");
    return 0;
  },
});

/** Every project on the engine with its containers. */
async function projectsOn(client: ApiClient, all: boolean): Promise<Map<string, ContainerSummary[]>> {
  const containers = await client.call<ContainerSummary[]>("GET", "/containers/json", {
    query: { all, filters: { label: [label.project] } },
  });
  const projects = new Map<string, ContainerSummary[]>();
  for (const container of containers.filter((item) => !isOneOff(item))) {
    const name = container.Labels[label.project]!;
    projects.set(name, [...(projects.get(name) ?? []), container]);
  }
  return new Map([...projects].sort(([a], [b]) => (a < b ? -1 : 1)));
}

export const ls = defineCommand({
  name: "ls",
  usage: "[OPTIONS]",
  summary: "List running compose projects",
  flags: {
    all: { type: "bool", short: "a", help: "Show all stopped Compose projects" },
    filter: { type: "list", help: "Filter output based on conditions provided (name=<text>)" },
    format: { type: "string", help: "Format the output. Values: [table | json]", default: "table" },
    quiet: { type: "bool", short: "q", help: "Only display project names" },
  },
  async run(session, flags) {
    const wanted = flags.filter.map((filter) => {
      const [, name] = /^name=(.*)$/.exec(filter) ?? [];
      if (name === undefined)
        throw ComposeError.at(
          undefined,
          `unknown filter ${JSON.stringify(filter)}`,
          "only name=<text> is known",
        );
      return name;
    });
    const entries = [...(await projectsOn(session.client, flags.all))].filter(([name]) =>
      wanted.every((text) => name.includes(text)),
    );
    const rows = entries.map(([name, containers]) => {
      const states = new Map<string, number>();
      for (const { State } of containers) states.set(State, (states.get(State) ?? 0) + 1);
      const status = [...states]
        .sort()
        .map(([state, count]) => `${state}(${count})`)
        .join(", ");
      const files = [...new Set(containers.map(({ Labels }) => Labels[label.configFiles] ?? ""))].filter(
        Boolean,
      );
      return { Name: name, Status: status, ConfigFiles: files.join(",") };
    });
    if (flags.quiet) session.out.write(rows.map(({ Name }) => `${Name}\n`).join(""));
    else if (flags.format === "json") session.out.write(`${JSON.stringify(rows)}\n`);
    else
      session.out.write(
        formatTable(
          ["NAME", "STATUS", "CONFIG FILES"],
          rows.map(({ Name, Status, ConfigFiles }) => [Name, Status, ConfigFiles]),
        ),
      );
    return 0;
  },
});

export const port = defineCommand({
  name: "port",
  usage: "[OPTIONS] SERVICE PRIVATE_PORT",
  summary: "Print the public port for a port binding",
  flags: {
    index: { type: "int", help: "Index of the container if service has multiple replicas" },
    protocol: { type: "string", help: "tcp or udp", default: "tcp" },
  },
  async run(session, flags, args) {
    const [service, wanted, ...more] = args;
    if (!service || !wanted || more.length > 0)
      throw ComposeError.at(undefined, `requires exactly 2 arg(s), received ${args.length}`);
    const container = await oneContainer(session, service, flags.index);
    const { NetworkSettings } = await session.engine.inspect(container.Id);
    const [binding] = NetworkSettings.Ports?.[`${wanted}/${flags.protocol}`] ?? [];
    if (!binding)
      throw new NotFound(`no port ${wanted}/${flags.protocol} for container ${nameOf(container)}`);
    const address = binding.HostIp.includes(":") ? `[${binding.HostIp}]` : binding.HostIp;
    session.out.write(`${address}:${binding.HostPort}\n`);
    return 0;
  },
});

export const top = defineCommand({
  name: "top",
  usage: "[SERVICES...]",
  summary: "Display the running processes",
  flags: {},
  async run(session, _flags, args) {
    const { containers } = await selectContainers(session, args, { all: false });
    const tables = await Promise.all(
      containers.map(async (container) => ({
        container,
        table: await session.client.call<{ Titles: string[]; Processes: string[][] | null }>(
          "GET",
          `/containers/${container.Id}/top`,
        ),
      })),
    );
    const titles = tables[0]?.table.Titles;
    if (!titles) return 0;
    const rows = tables.flatMap(({ container, table }) =>
      (table.Processes ?? []).map((cells) => [
        container.Labels[label.service] ?? "",
        String(numberOf(container)),
        ...titles.map((title) => cells[table.Titles.indexOf(title)] ?? "-"),
      ]),
    );
    session.out.write(formatTable(["SERVICE", "#", ...titles], rows));
    return 0;
  },
});

export const version = defineCommand({
  name: "version",
  usage: "[OPTIONS]",
  summary: "Show the Docker Compose version information",
  flags: {
    format: {
      type: "string",
      short: "f",
      help: "Format the output. Values: [pretty | json]",
      default: "pretty",
    },
    short: { type: "bool", help: "Shows only Compose's version number" },
  },
  async run(session, flags) {
    if (flags.short) session.out.write(`${composeVersion}\n`);
    else if (flags.format === "json")
      session.out.write(`${JSON.stringify({ version: `v${composeVersion}-gantry` })}\n`);
    else session.out.write(`Docker Compose version v${composeVersion}-gantry\n`);
    return 0;
  },
});

interface EngineEvent {
  Type: string;
  Action: string;
  Actor: { ID: string; Attributes: Record<string, string> };
  time: number;
  timeNano: number;
}

export const events = defineCommand({
  name: "events",
  usage: "[OPTIONS] [SERVICE...]",
  summary: "Receive real time events from containers",
  flags: {
    json: { type: "bool", help: "Output events as a stream of json objects" },
    since: { type: "string", help: "Show all events created since timestamp" },
    until: { type: "string", help: "Stream events until this timestamp" },
  },
  async run(session, flags, args) {
    const { name } = session.projectNameOnly();
    const stop = new AbortController();
    const release = session.onInterrupt(() => stop.abort());
    try {
      const stream = session.client.messages<EngineEvent>("GET", "/events", {
        query: {
          since: flags.since,
          until: flags.until,
          filters: { label: [`${label.project}=${name}`], type: ["container"] },
        },
        signal: stop.signal,
      });
      for await (const { Action, Actor, time, timeNano } of stream) {
        const service = Actor.Attributes[label.service] ?? "";
        if (args.length > 0 && !args.includes(service)) continue;
        const attributes = Object.fromEntries(
          Object.entries(Actor.Attributes).filter(([key]) => !key.startsWith("com.docker.compose.")),
        );
        const at = new Date(Math.floor(timeNano / 1e6) || time * 1000).toISOString();
        if (flags.json)
          session.out.write(
            `${JSON.stringify({ action: Action, attributes, id: Actor.ID, service, time: at, type: "container" })}\n`,
          );
        else {
          const list = Object.entries(attributes)
            .map(([key, value]) => `${key}=${value}`)
            .join(", ");
          session.out.write(
            `${at.replace("T", " ").replace("Z", "000")} container ${Action} ${Actor.ID} (${list})\n`,
          );
        }
      }
      return 0;
    } catch (error) {
      if (stop.signal.aborted) return 130;
      throw error;
    } finally {
      release();
    }
  },
});

export const volumes = defineCommand({
  name: "volumes",
  usage: "[OPTIONS] [SERVICE...]",
  summary: "List volumes",
  flags: {
    format: { type: "string", help: "Format the output. Values: [table | json]", default: "table" },
    quiet: { type: "bool", short: "q", help: "Only display volume names" },
  },
  async run(session, flags) {
    const { name } = session.projectNameOnly();
    const found = await session.client.call<{ Volumes: { Name: string; Driver: string }[] | null }>(
      "GET",
      "/volumes",
      {
        query: { filters: { label: [`${label.project}=${name}`] } },
      },
    );
    const list = (found.Volumes ?? []).toSorted((a, b) => (a.Name < b.Name ? -1 : 1));
    if (flags.quiet) session.out.write(list.map(({ Name }) => `${Name}\n`).join(""));
    else if (flags.format === "json")
      session.out.write(list.map((volume) => `${JSON.stringify(volume)}\n`).join(""));
    else
      session.out.write(
        formatTable(
          ["DRIVER", "VOLUME NAME"],
          list.map(({ Driver, Name }) => [Driver, Name]),
        ),
      );
    return 0;
  },
});
