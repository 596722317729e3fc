/** Live names for completion. A shell waits for them: whoever doesn't answer soon is left out. */
import type { ContainerSummary, ImageSummary, NetworkSummary, VolumeSummary } from "../api.ts";
import type { CliContext } from "../context.ts";
import type { NameKind, NameSource, Suggestion } from "./complete.ts";

const patience = 3000;

/** Names that the engine knows now; none when it can't be reached. */
export function liveNames(context: CliContext): NameSource {
  const get = async <T>(
    path: string,
    query: Record<string, string | number | object | undefined> = {},
  ): Promise<T> => context.client.call<T>("GET", path, { query, signal: AbortSignal.timeout(patience) });
  const containers = async (status?: string[]): Promise<Suggestion[]> => {
    const query = status ? { all: 1, filters: { status } } : { all: 1 };
    const found = await get<ContainerSummary[]>("/containers/json", query);
    return found.map(({ Names, Image, Status, Id }) => ({
      value: (Names?.[0] ?? Id).replace(/^\//, ""),
      help: `${Image}, ${Status}`,
    }));
  };
  const sources: Record<NameKind, () => Promise<Suggestion[]>> = {
    container: () => containers(),
    running: () => containers(["running", "paused", "restarting"]),
    stopped: () => containers(["created", "exited", "dead"]),
    paused: () => containers(["paused"]),
    image: async () => {
      const images = await get<ImageSummary[]>("/images/json");
      const tags = images.flatMap(({ RepoTags }) => RepoTags ?? []);
      return tags.filter((tag) => tag !== "<none>:<none>").map((value) => ({ value }));
    },
    network: async () =>
      (await get<NetworkSummary[]>("/networks")).map(({ Name, Driver }) => ({ value: Name, help: Driver })),
    volume: async () => {
      const { Volumes } = await get<{ Volumes: VolumeSummary[] | null }>("/volumes");
      return (Volumes ?? []).map(({ Name, Driver }) => ({ value: Name, help: Driver }));
    },
    context: async () => {
      const { ContextStore } = await import("../contexts/store.ts");
      const metas = new ContextStore(context.configDir).list();
      return [
        { value: "default" },
        ...metas.map(({ Name, Metadata }) => ({ value: Name, help: Metadata.Description })),
      ];
    },
    token: async () => (await get<{ Name: string }[]>("/tokens")).map(({ Name }) => ({ value: Name })),
    object: async () => {
      const kinds = ["container", "image", "network", "volume"] as const;
      return (await Promise.all(kinds.map((kind) => sources[kind]()))).flat();
    },
  };
  return async (kind) => {
    try {
      return await sources[kind]();
    } catch {
      // The prompt is no place for an error message.
      return [];
    }
  };
}
