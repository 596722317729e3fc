import { ValueError } from "../value.ts";

/** Whether a version is within a constraint: `>= 1.2, < 2`, `^1.4`, `~1.4`, `1.x`. @throws ValueError */
export function compareVersions(version: string, constraint: string): boolean {
  const plain = version.replace(/^v/, "");
  if (!/^\d+(?:\.\d+){0,2}(?:[-+].*)?$/.test(plain)) throw new ValueError(`${version} is not a version`);
  // A version with fewer parts has zeros in the others.
  const [core, suffix = ""] = plain.split(/(?=[-+])/, 2);
  const full = `${[...core!.split("."), "0", "0"].slice(0, 3).join(".")}${suffix}`;
  return Bun.semver.satisfies(full, constraint.replaceAll(",", " ").replace(/([<>=^~!])\s+/g, "$1"));
}
