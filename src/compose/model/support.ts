/** Keys that the schema allows and Gantry does not honour: each is told of with its place, none is passed over. */
import type { Problem } from "./errors.ts";
import type { Node } from "./node.ts";

/** Path of the key, `*` for any name or index; what happens because of it. */
const ignored: Record<string, string> = {
  "services.*.build.isolation": "it is for Windows only",
  "services.*.cpu_count": "it is for Windows only",
  "services.*.cpu_percent": "it is for Windows only",
  "services.*.isolation": "it is for Windows only",
  "services.*.credential_spec": "it is for Windows only",
  "services.*.deploy.mode": "every service runs as replicas on this engine",
  "services.*.deploy.endpoint_mode": "it is for Swarm only",
  "services.*.deploy.placement": "it is for Swarm only",
  "services.*.deploy.update_config": "it is for Swarm only",
  "services.*.deploy.rollback_config": "it is for Swarm only",
  "services.*.deploy.resources.reservations.cpus": "an engine reserves memory only",
  "services.*.deploy.resources.reservations.generic_resources": "it is for Swarm only",
  "services.*.networks.*.interface_name": "interfaces are named eth0, eth1 and so on",
  "services.*.pull_refresh_after": "use pull_policy: every_<duration>",
  "secrets.*.template_driver": "files are not templates",
  "configs.*.template_driver": "files are not templates",
  "secrets.*.driver": "it is for Swarm only",
};

/** What can't be left out without changing what the application does. */
const refused: Record<string, string> = {
  "services.*.models": "no models are served",
  "services.*.use_api_socket": "mount the engine's socket as a volume",
  models: "no models are served",
};

/** The warnings and errors for keys of a canonical, merged tree. */
export function unsupportedKeys(root: Node): { warnings: Problem[]; errors: Problem[] } {
  const warnings: Problem[] = [];
  const errors: Problem[] = [];
  const visit = (node: Node, patterns: string[], path: string): void => {
    const below =
      node.kind === "mapping"
        ? [...node.entries].map(([name, entry]) => ({ name, at: entry.at, value: entry.value }))
        : node.kind === "sequence"
          ? node.items.map((value, index) => ({ name: String(index), at: value.at, value }))
          : [];
    for (const { name, at, value } of below) {
      const next = patterns.flatMap((pattern) => (pattern ? [`${pattern}.${name}`, `${pattern}.*`] : [name]));
      const here = path ? `${path}.${name}` : name;
      const known = next.filter((pattern) => prefixes.has(pattern));
      if (known.length === 0) continue;
      const reason = known.map((pattern) => refused[pattern]).find(Boolean);
      const note = known.map((pattern) => ignored[pattern]).find(Boolean);
      if (reason) errors.push({ at, message: `${here} is not supported: ${reason}` });
      else if (note) warnings.push({ at, message: `${here} is ignored: ${note}` });
      else visit(value, known, here);
    }
  };
  visit(root, [""], "");
  return { warnings, errors };
}

/** Every beginning of a path in the tables, so that only those parts of the tree are walked. */
const prefixes = new Set(
  [...Object.keys(ignored), ...Object.keys(refused)].flatMap((path) => {
    const parts = path.split(".");
    return parts.map((_, index) => parts.slice(0, index + 1).join("."));
  }),
);
