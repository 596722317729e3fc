/** `--print`: the plan as JSON, as buildx writes it. */
import type { Options } from "./options.ts";
import type { Plan } from "./resolve.ts";
import { fieldNames, fields, type Target } from "./target.ts";

export function formatPlan({ groups, targets }: Plan): string {
  const shown = {
    group: Object.fromEntries(inOrder([...groups]).map(([name, names]) => [name, { targets: names }])),
    target: Object.fromEntries(inOrder([...targets]).map(([name, target]) => [name, shownTarget(target)])),
  };
  return `${JSON.stringify(shown, undefined, 2)}\n`;
}

const inOrder = <T>(entries: [string, T][]) => entries.sort(([a], [b]) => (a < b ? -1 : 1));

function shownTarget(target: Target): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const name of fieldNames) {
    const value = target[name];
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue;
    const { kind } = fields[name];
    if (kind === "map") {
      const entries = inOrder(Object.entries(value as Record<string, string | null>));
      if (entries.length > 0) shown[name] = Object.fromEntries(entries);
    } else if (name === "ssh") shown[name] = target.ssh!.map(shownAgent);
    else if (kind === "options" && name !== "secret")
      shown[name] = (value as Options[]).map((options) =>
        Object.fromEntries(inOrder(Object.entries(options))),
      );
    else shown[name] = value;
  }
  return shown;
}

const shownAgent = ({ id, paths }: Options) =>
  paths === undefined ? { id } : { id, paths: paths.split(",") };
