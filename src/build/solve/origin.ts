/** What a build's provenance tells of its steps. */
import type { BuildOrigin } from "../attest/types.ts";
import { parseRunMounts } from "../exec/run-mounts.ts";
import type { Graph } from "../graph/stages.ts";

/** Names of the secrets and agents that the needed stages ask their client for, each once. */
export function clientSecrets({ needed, stages }: Graph): Pick<BuildOrigin, "secrets" | "ssh"> {
  const asWritten = (text: string) => text;
  const mounts = needed
    .flatMap((index) => stages[index]!.instructions)
    .flatMap((one) => (one.kind === "RUN" ? parseRunMounts(one, asWritten, asWritten) : []));
  const named = (type: "secret" | "ssh") => {
    const required = new Map(
      mounts.flatMap((mount) => (mount.type === type ? [[mount.id, mount.required] as const] : [])),
    );
    return [...required].map(([id, isRequired]) => ({ id, optional: !isRequired }));
  };
  return { secrets: named("secret"), ssh: named("ssh") };
}
