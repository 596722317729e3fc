/** From the flags of `build` to the query of `POST /build`. */
import { InvalidParameter } from "../../lib/errors.ts";
import { formatReference, parseReference } from "../../lib/reference.ts";
import type { Flags, ValuesOf } from "../command.ts";
import { extraHost, parseUlimit } from "../container/create-body.ts";
import { keyValues } from "../filters.ts";

export const buildFlags = {
  "add-host": { kind: "list", help: "Add a name to /etc/hosts of the steps (host:ip)" },
  "build-arg": { kind: "list", help: "Set an argument of the Dockerfile, or pass a variable on by name" },
  "cache-from": { kind: "strings", help: "Images to take steps from", hidden: true },
  check: { kind: "bool", help: "Check the Dockerfile and build nothing" },
  compress: { kind: "bool", help: "Compress the context with gzip on its way" },
  "cpu-period": { kind: "int", help: "Period of the CFS scheduler in microseconds" },
  "cpu-quota": { kind: "int", help: "Quota of the CFS scheduler in microseconds" },
  "cpu-shares": { kind: "int", short: "c", help: "Relative CPU weight" },
  "cpuset-cpus": { kind: "string", help: "CPUs to run on (0-3, 0,1)" },
  file: {
    kind: "string",
    short: "f",
    help: "Path of the Dockerfile, or - for stdin (default PATH/Dockerfile)",
  },
  "force-rm": { kind: "bool", help: "Remove intermediate containers always", hidden: true },
  iidfile: { kind: "string", help: "Write the image's ID to this file" },
  label: { kind: "list", help: "Set a label on the image" },
  load: { kind: "bool", help: "The image is kept in any case", hidden: true },
  memory: { kind: "bytes", short: "m", help: "Memory limit" },
  "memory-swap": { kind: "bytes", help: "Memory and swap together; -1 for unlimited swap" },
  network: {
    kind: "string",
    help: "Network of the RUN instructions: default, none or host",
    default: "default",
  },
  "no-cache": { kind: "bool", help: "Run every step, whatever is cached" },
  platform: { kind: "string", help: "Platform to build for" },
  progress: { kind: "string", help: "Kind of progress: auto or plain", default: "auto" },
  pull: { kind: "bool", help: "Ask the registry for newer base images" },
  quiet: { kind: "bool", short: "q", help: "Print only the image's ID" },
  rm: { kind: "bool", help: "Remove intermediate containers", default: "true", hidden: true },
  "shm-size": { kind: "bytes", help: "Size of /dev/shm" },
  tag: { kind: "list", short: "t", help: "Name of the image (name:tag)" },
  target: { kind: "string", help: "Stage to build" },
  ulimit: { kind: "list", value: "ulimit", help: "Limits of resources (nofile=1024:2048)" },
} as const satisfies Flags;

type BuildValues = ValuesOf<typeof buildFlags>;
type Query = Record<string, string | number | boolean | object | undefined>;

/**
 * The path with the parameters that may be repeated, and the others.
 * @throws InvalidParameter for what can be seen to be wrong here
 */
export function buildRequest(
  flags: BuildValues,
  dockerfile: string,
  env: Record<string, string | undefined>,
): { path: string; query: Query } {
  if (!["auto", "plain"].includes(flags.progress))
    throw new InvalidParameter(
      `invalid progress ${JSON.stringify(flags.progress)}: must be one of "auto" or "plain"`,
    );
  const repeated = [
    ...flags.tag.map((tag) => ["t", checkTag(tag)]),
    ...flags["add-host"].map((host) => ["extrahosts", extraHost(host)]),
  ].map(([name, value]) => `${name}=${encodeURIComponent(value!)}`);
  const path = repeated.length === 0 ? "/build" : `/build?${repeated.join("&")}`;
  const query: Query = {
    dockerfile,
    buildargs: flags["build-arg"].length > 0 ? buildArgs(flags["build-arg"], env) : undefined,
    labels: flags.label.length > 0 ? keyValues(flags.label) : undefined,
    target: flags.target,
    nocache: flags["no-cache"] ? 1 : undefined,
    pull: flags.pull ? 1 : undefined,
    q: flags.quiet ? 1 : undefined,
    networkmode: flags.network,
    platform: flags.platform,
    shmsize: flags["shm-size"],
    memory: flags.memory,
    memswap: flags["memory-swap"],
    cpushares: flags["cpu-shares"],
    cpuquota: flags["cpu-quota"],
    cpuperiod: flags["cpu-period"],
    cpusetcpus: flags["cpuset-cpus"],
    cachefrom: flags["cache-from"].length > 0 ? flags["cache-from"] : undefined,
    ulimits: flags.ulimit.length > 0 ? flags.ulimit.map(parseUlimit) : undefined,
    rm: flags.rm ? 1 : 0,
    forcerm: flags["force-rm"] ? 1 : undefined,
    check: flags.check ? 1 : undefined,
    version: 1,
  };
  return { path, query };
}

function checkTag(tag: string): string {
  const reference = parseReference(tag);
  if (reference.digest !== undefined)
    throw new InvalidParameter(
      `invalid argument ${JSON.stringify(tag)} for "-t, --tag" flag: ${formatReference(reference)} has a digest`,
    );
  return tag;
}

/** `NAME=value`; a name alone takes its value from our environment, and null when there is none. */
export function buildArgs(
  values: readonly string[],
  env: Record<string, string | undefined>,
): Record<string, string | null> {
  return Object.fromEntries(
    values.map((value) => {
      const equals = value.indexOf("=");
      return equals < 0 ? [value, env[value] ?? null] : [value.slice(0, equals), value.slice(equals + 1)];
    }),
  );
}
