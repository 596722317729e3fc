/** From the flags of `build` to the query of `POST /build`. */
import { InvalidParameter, NotImplemented } from "../../lib/errors.ts";
import { formatReference, parseReference } from "../../lib/reference.ts";
import { splitCsv } from "../args/values.ts";
import { extraHost, parseUlimit } from "../container/create-body.ts";
import { keyValues } from "../filters.ts";
import type { BuildValues } from "./flags.ts";

export type Query = Record<string, string | number | boolean | object | undefined>;

/**
 * The path with the parameters that may be repeated, and the others.
 * @param buildArgs see `buildArgs`
 * @throws InvalidParameter, NotImplemented for what can be seen to be wrong here
 */
export function buildRequest(
  flags: BuildValues,
  dockerfile: string,
  buildArgs: Record<string, string | null>,
): { path: string; query: Query } {
  refuse(flags);
  const repeated = [
    ...flags.tag.map((tag) => ["t", checkTag(tag)]),
    ...flags["add-host"].map((host) => ["extrahosts", extraHost(host)]),
  ].map(([name, value]) => `${name}=${encodeURIComponent(value!)}`);
  const path = repeated.length === 0 ? "/build" : `/build?${repeated.join("&")}`;
  const query: Query = {
    dockerfile,
    buildargs: Object.keys(buildArgs).length > 0 ? buildArgs : undefined,
    labels: flags.label.length > 0 ? keyValues(flags.label) : undefined,
    target: flags.target,
    nocache: flags["no-cache"] ? 1 : undefined,
    nocachefilter: flags["no-cache-filter"].join(",") || undefined,
    pull: flags.pull ? 1 : undefined,
    networkmode: flags.network,
    platform: flags.platform.join(",") || undefined,
    shmsize: flags["shm-size"],
    memory: flags.memory,
    memswap: flags["memory-swap"],
    cpushares: flags["cpu-shares"],
    cpuquota: flags["cpu-quota"],
    cpuperiod: flags["cpu-period"],
    cpusetcpus: flags["cpuset-cpus"],
    cpusetmems: flags["cpuset-mems"],
    cgroupparent: flags["cgroup-parent"],
    ulimits: flags.ulimit.length > 0 ? flags.ulimit.map(parseUlimit) : undefined,
    cachefrom: flags["cache-from"].length > 0 ? flags["cache-from"] : undefined,
    cacheto: flags["cache-to"].length > 0 ? flags["cache-to"] : undefined,
    attests: attestations(flags),
    allow: flags.allow.join(",") || undefined,
    squash: flags.squash ? 1 : undefined,
    check: isCheck(flags) ? 1 : undefined,
    call: questionOf(flags)?.call,
    explain: flags.explain ? 1 : undefined,
    progress: 1,
    version: 1,
  };
  return { path, query };
}

/** Attributes of each kind, as BuildKit's front end takes them. @throws InvalidParameter */
export function attestations({
  attest,
  sbom,
  provenance,
}: Pick<BuildValues, "attest" | "sbom" | "provenance">): Record<string, string> | undefined {
  const wanted: Record<string, string> = {};
  for (const text of attest) {
    const fields = splitCsv(text);
    const type = fields.find((field) => field.startsWith("type="))?.slice("type=".length);
    if (!type) throw new InvalidParameter(`attestation type not specified: ${text}`);
    wanted[type] = fields.filter((field) => !field.startsWith("type=")).join(",");
  }
  for (const [type, text] of Object.entries({ sbom, provenance })) {
    if (text === undefined) continue;
    if (isTruth(text)) wanted[type] = truthOf(text) ? "" : "disabled=true";
    else wanted[type] = text;
  }
  return Object.keys(wanted).length > 0 ? wanted : undefined;
}

const isTruth = (text: string) => /^(1|0|t|f|true|false)$/i.test(text);
const truthOf = (text: string) => /^(1|t|true)$/i.test(text);

/** Whether the Dockerfile is checked only: `--check` and `--call check`. */
export const isCheck = ({ check, call }: BuildValues) => check || call === "check" || call === "lint";

/** What is asked about the Dockerfile instead of a build or a check, and whether the answer is to be JSON. */
export function questionOf({ call }: BuildValues): { call: string; json: boolean } | undefined {
  const [name = "", ...attributes] = splitCsv(call);
  const json = attributes.includes("format=json");
  if (questions.includes(name)) return { call: name, json };
  // For people a check is shown with the lines that it is about; for programs as BuildKit has it.
  return json && (name === "check" || name === "lint") ? { call: "lint", json } : undefined;
}

const questions = ["outline", "targets", "subrequests.describe"];

const entitlements = ["network.host", "security.insecure"];

/** @throws InvalidParameter, NotImplemented */
function refuse(flags: BuildValues): void {
  if (flags.call !== "build" && !isCheck(flags) && !questionOf(flags))
    throw new InvalidParameter(
      `invalid call ${JSON.stringify(flags.call)}: build, check, ${questions.join(" or ")} is wanted`,
    );
  for (const right of flags.allow) {
    if (!entitlements.includes(right))
      throw new InvalidParameter(`invalid entitlement: ${right} (there are ${entitlements.join(" and ")})`);
  }
  if (flags.policy.length > 0) throw new NotImplemented("--policy is not supported");
  if (flags.resource.length > 0)
    throw new NotImplemented("--resource is not supported: --memory and --cpu-quota limit each step");
  if (flags["security-opt"].length > 0)
    throw new NotImplemented(
      "--security-opt is not supported for builds, as in Docker on Linux: RUN --security=insecure with --allow security.insecure lifts a step's limits",
    );
  if (flags.isolation && flags.isolation !== "default")
    throw new InvalidParameter(`invalid isolation ${JSON.stringify(flags.isolation)}: default is there`);
  if (flags["no-cache"] && flags["no-cache-filter"].length > 0)
    throw new InvalidParameter("cannot currently be used together: --no-cache and --no-cache-filter");
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
