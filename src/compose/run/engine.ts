/** The engine as Compose sees it: the few calls it makes, typed by the fields it reads. */
import type { ApiClient } from "../../api/client/index.ts";
import { NotFound, NotModified } from "../../lib/errors.ts";
import { label, type Observed, type ObservedContainer } from "../plan/observed.ts";

/** An entry of `GET /containers/json`. */
export interface ContainerSummary {
  Id: string;
  Names: string[];
  Image: string;
  ImageID: string;
  Command: string;
  /** Seconds since the epoch. */
  Created: number;
  Ports: { IP?: string; PrivatePort: number; PublicPort?: number; Type: string }[] | null;
  Labels: Record<string, string>;
  State: string;
  Status: string;
  NetworkSettings?: { Networks: Record<string, { NetworkID: string }> };
  Mounts?: { Type: string; Name?: string; Source: string; Destination: string }[];
}

/** What `GET /containers/{id}/json` says. */
export interface ContainerDetails {
  Id: string;
  Name: string;
  Image: string;
  Created: string;
  State: {
    Status: string;
    Running: boolean;
    ExitCode: number;
    Error: string;
    StartedAt: string;
    /** Of the last run; year 1 before the first has ended. */
    FinishedAt: string;
    Health?: { Status: string };
  };
  Config: { Tty: boolean; Image: string; Labels: Record<string, string>; Healthcheck?: { Test?: string[] } };
  HostConfig: { LogConfig: { Type: string } };
  Mounts: { Type: string; Name?: string; Source: string; Destination: string }[];
  NetworkSettings: { Ports: Record<string, { HostIp: string; HostPort: string }[] | null> | null };
}

export interface ImageDetails {
  Id: string;
  RepoTags: string[] | null;
  Size: number;
  Created: string;
  Os: string;
  Architecture: string;
  Variant?: string;
}

interface NetworkSummary {
  Id: string;
  Name: string;
  Labels: Record<string, string> | null;
}
interface VolumeSummary {
  Name: string;
  Labels: Record<string, string> | null;
}

export class EngineView {
  constructor(readonly client: ApiClient) {}

  /** All containers that carry the project's label, one-offs too, in the order of service and number. */
  async containers(project: string, options: { all?: boolean } = {}): Promise<ContainerSummary[]> {
    const found = await this.client.call<ContainerSummary[]>("GET", "/containers/json", {
      query: { all: options.all ?? true, filters: { label: [`${label.project}=${project}`] } },
    });
    return found.sort((a, b) => {
      const [x, y] = [a, b].map((item) => item.Labels[label.service] ?? "") as [string, string];
      return x < y ? -1 : x > y ? 1 : numberOf(a) - numberOf(b);
    });
  }

  /** Everything there is of a project. @param names networks and volumes outside it that it refers to */
  async observe(project: string, names: { networks: string[]; volumes: string[] }): Promise<Observed> {
    const [containers, networks, volumes] = await Promise.all([
      this.containers(project),
      this.client.call<NetworkSummary[]>("GET", "/networks"),
      this.client.call<{ Volumes: VolumeSummary[] | null }>("GET", "/volumes"),
    ]);
    const ours = (labels: Record<string, string> | null) => labels?.[label.project] === project;
    return {
      containers: containers.map(observedOf),
      networks: Object.fromEntries(
        networks
          .filter(({ Name, Labels }) => ours(Labels) || names.networks.includes(Name))
          .map(({ Id, Name, Labels }) => [Name, { id: Id, name: Name, labels: Labels ?? {} }]),
      ),
      volumes: Object.fromEntries(
        (volumes.Volumes ?? [])
          .filter(({ Name, Labels }) => ours(Labels) || names.volumes.includes(Name))
          .map(({ Name, Labels }) => [Name, { name: Name, labels: Labels ?? {} }]),
      ),
    };
  }

  inspect(id: string): Promise<ContainerDetails> {
    return this.client.call("GET", `/containers/${encodeURIComponent(id)}/json`);
  }

  /** undefined when there is no such image. */
  async image(reference: string): Promise<ImageDetails | undefined> {
    try {
      return await this.client.call<ImageDetails>("GET", `/images/${encodeImage(reference)}/json`);
    } catch (error) {
      if (error instanceof NotFound) return undefined;
      throw error;
    }
  }

  async start(id: string): Promise<void> {
    await this.#ifModified(this.client.call("POST", `/containers/${id}/start`));
  }

  /** @param timeout seconds; undefined: the container's own */
  async stop(id: string, timeout?: number): Promise<void> {
    await this.#ifModified(this.client.call("POST", `/containers/${id}/stop`, { query: { t: timeout } }));
  }

  /** Removes it whatever its state; one that is gone already is fine. */
  async remove(id: string, volumes: boolean): Promise<void> {
    try {
      await this.client.call("DELETE", `/containers/${id}`, { query: { force: true, v: volumes } });
    } catch (error) {
      if (!(error instanceof NotFound)) throw error;
    }
  }

  /** Waits until it is not running. */
  async wait(id: string, signal?: AbortSignal): Promise<number> {
    const { StatusCode } = await this.client.call<{ StatusCode: number }>("POST", `/containers/${id}/wait`, {
      query: { condition: "not-running" },
      signal,
    });
    return StatusCode;
  }

  async #ifModified(call: Promise<unknown>): Promise<void> {
    try {
      await call;
    } catch (error) {
      if (!(error instanceof NotModified)) throw error;
    }
  }
}

/** A reference in a path: slashes stay. */
export function encodeImage(reference: string): string {
  return reference.split("/").map(encodeURIComponent).join("/");
}

export function nameOf(container: { Names: string[] }): string {
  return (container.Names[0] ?? "").replace(/^\//, "");
}

export function numberOf(container: { Labels: Record<string, string> }): number {
  return Number(container.Labels[label.number] ?? 0);
}

export function isOneOff(container: { Labels: Record<string, string> }): boolean {
  return container.Labels[label.oneoff] === "True";
}

/** How logs and prefixes call a container: `web-1`, or its name when that is the service's own choice. */
export function shortName(container: ContainerSummary): string {
  const project = container.Labels[label.project] ?? "";
  const name = nameOf(container);
  return name.startsWith(`${project}-`) ? name.slice(project.length + 1) : name;
}

export function observedOf(container: ContainerSummary): ObservedContainer {
  return {
    id: container.Id,
    name: nameOf(container),
    service: container.Labels[label.service] ?? "",
    number: numberOf(container),
    oneOff: isOneOff(container),
    state: container.State,
    labels: container.Labels,
    networkIds: Object.values(container.NetworkSettings?.Networks ?? {}).map(({ NetworkID }) => NetworkID),
    volumes: (container.Mounts ?? []).flatMap(({ Type, Name }) => (Type === "volume" && Name ? [Name] : [])),
    created: container.Created,
  };
}
