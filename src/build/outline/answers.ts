/** The answers to subrequests as BuildKit's front end gives them: JSON, and text for people. */
import type { LintReport } from "../types.ts";
import type { Outline, Place, TargetList } from "./types.ts";

/** Metadata of a front end's result. */
export interface SubrequestAnswer {
  "result.json": string;
  "result.txt": string;
  version: string;
  /** Of `lint`: 1 when something was found. */
  "result.statuscode"?: string;
}

/** What a Dockerfile can be asked, without the prefix `frontend.`. */
export const subrequests = ["outline", "targets", "lint", "subrequests.describe"] as const;
export type Subrequest = (typeof subrequests)[number];

const descriptions: Record<Subrequest, string> = {
  outline: "List all parameters current build target supports",
  targets: "List all targets current build supports",
  lint: "Lint a Dockerfile",
  "subrequests.describe": "List available subrequest types",
};

export function describeAnswer(): SubrequestAnswer {
  const known = subrequests.map((name) => ({
    name: `frontend.${name}`,
    version: "1.0.0",
    type: "rpc",
    description: descriptions[name],
    metadata: [{ name: "result.json" }, { name: "result.txt" }],
  }));
  const rows = subrequests.map((name) => [name, "1.0.0", descriptions[name]]);
  return answer(known, table(["NAME", "VERSION", "DESCRIPTION"], rows));
}

export function outlineAnswer(outline: Outline): SubrequestAnswer {
  const { name, description, args, secrets, ssh, caches, source } = outline;
  const json = {
    name: name || undefined,
    description: description || undefined,
    args: some(
      args.map(({ name, value, description, ...place }) => ({
        name,
        description: description || undefined,
        value: value || undefined,
        location: location(place),
      })),
    ),
    secrets: some(
      secrets.map(({ name, required, ...place }) => ({
        name,
        required: required || undefined,
        location: location(place),
      })),
    ),
    ssh: some(
      ssh.map(({ name, required, ...place }) => ({
        name,
        required: required || undefined,
        location: location(place),
      })),
    ),
    cache: some(caches.map(({ id, ...place }) => ({ ID: id, location: location(place) }))),
    sources: [base64(source)],
  };
  const required = (list: Outline["secrets"]) => list.map((one) => [one.name, one.required ? "true" : ""]);
  const parts = [
    name || description
      ? table(["TARGET:", name || "(default)"], description ? [["DESCRIPTION:", description]] : [])
      : "",
    args.length > 0
      ? table(
          ["BUILD ARG", "VALUE", "DESCRIPTION"],
          args.map((one) => [one.name, one.value, one.description]),
        )
      : "",
    secrets.length > 0 ? table(["SECRET", "REQUIRED"], required(secrets)) : "",
    ssh.length > 0 ? table(["SSH", "REQUIRED"], required(ssh)) : "",
  ];
  return answer(json, parts.filter(Boolean).join("\n"));
}

export function targetsAnswer({ targets, source }: TargetList): SubrequestAnswer {
  const json = {
    targets: targets.map(({ name, default: isDefault, description, base, platform, ...place }) => ({
      name: name || undefined,
      default: isDefault || undefined,
      description: description || undefined,
      base: base || undefined,
      platform: platform || undefined,
      location: location(place),
    })),
    sources: [base64(source)],
  };
  const rows = targets.flatMap(({ name, default: isDefault, description }) =>
    name || isDefault ? [[[name, isDefault ? "(default)" : ""].filter(Boolean).join(" "), description]] : [],
  );
  return answer(json, table(["TARGET", "DESCRIPTION"], rows));
}

export function lintAnswer({ file, source, warnings, error }: LintReport): SubrequestAnswer {
  const json = {
    warnings: warnings.map(({ rule, description, url, detail, line, endLine }) => ({
      ruleName: rule,
      description,
      url,
      detail,
      location: location({ line, endLine }),
    })),
    sources: [{ filename: file, language: "Dockerfile", data: base64(source) }],
    buildError: error && {
      message: error.message,
      location:
        error.line === undefined
          ? undefined
          : location({ line: error.line, endLine: error.endLine ?? error.line }),
    },
  };
  const lines = warnings.map(
    ({ rule, url, detail, line }) => `WARNING: ${rule} - ${url}\n${detail}\n${file}:${line}\n`,
  );
  if (error) lines.push(`ERROR: ${error.message}\n`);
  return {
    ...answer(json, lines.join("\n")),
    "result.statuscode": warnings.length > 0 || error ? "1" : "0",
  };
}

const answer = (json: object, text: string): SubrequestAnswer => ({
  "result.json": JSON.stringify(json, undefined, 2),
  "result.txt": text,
  version: "1.0.0",
});

/** solver/pb: Location. */
const location = ({ line, endLine }: Place) => ({ ranges: [{ start: { line }, end: { line: endLine } }] });

const some = <T>(list: T[]) => (list.length > 0 ? list : undefined);
const base64 = (text: string) => Buffer.from(text).toString("base64");

/** Columns three blanks apart. */
function table(header: string[], rows: string[][]): string {
  const all = [header, ...rows];
  const widths = header.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)) + 3);
  return all
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i]!))
          .join("")
          .trimEnd()}\n`,
    )
    .join("");
}
