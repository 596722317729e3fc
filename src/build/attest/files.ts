/** Statements about a build's files, in files of their own beside them (BuildKit, exporter/local). */
import {
  createReadStream,
  lstatSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { digestOf } from "../../lib/digest.ts";
import type { BuiltPlatform, ExportParts } from "../export/index.ts";
import { parseEpoch } from "../export/parse.ts";
import { formatPlatform } from "../graph/scope.ts";
import { statement } from "./attach.ts";
import { predicatesOf } from "./predicates.ts";

interface Subject {
  name: string;
  digest: { sha256: string };
}

const names: [RegExp, string][] = [
  [/^https:\/\/slsa\.dev\/provenance\//, "provenance"],
  [/^https:\/\/spdx\.dev\//, "sbom.spdx"],
];

/**
 * Writes what is stated about the files of one platform.
 * @param naming of the files: what goes before their names, and whether the platform is part of them
 * @returns the directory that has them, which is the caller's to remove; undefined: nothing is stated
 */
export async function stateFiles(
  parts: ExportParts,
  built: BuiltPlatform,
  { prefix, withPlatform }: { prefix: string; withPlatform: boolean },
): Promise<({ directory: string } & Disposable) | undefined> {
  const { provenance, sbom } = parts.request.attestations ?? {};
  // What clients ask for by themselves is for images only.
  const wanted = { provenance: provenance?.inlineOnly ? undefined : provenance, sbom };
  if (!wanted.provenance && !wanted.sbom) return undefined;
  const subjects = await subjectsIn(built.open(), parts.signal);
  const epoch = parseEpoch(parts.request.buildArgs.SOURCE_DATE_EPOCH);
  const about = digestOf(JSON.stringify(subjects));
  const predicates = await predicatesOf(parts, built, { digest: about, epoch }, wanted);
  const directory = mkdtempSync(join(parts.backend.execDir, "statements-"));
  const platform = withPlatform ? `.${formatPlatform(built.state.platform).replaceAll("/", "_")}` : "";
  for (const predicate of predicates) {
    const [, name] = names.find(([pattern]) => pattern.test(predicate.type))!;
    const [base, kind = ""] = name.split(/(?=\.)/);
    const file = join(directory, `${prefix}${base}${kind}${platform}.json`);
    writeFileSync(file, `${JSON.stringify(statement(predicate, subjects), undefined, 2)}\n`, { mode: 0o600 });
    if (epoch !== undefined) utimesSync(file, epoch, epoch);
  }
  return { directory, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) };
}

async function subjectsIn(root: string, signal: AbortSignal): Promise<Subject[]> {
  const subjects: Subject[] = [];
  const walk = async (path: string): Promise<void> => {
    for (const name of readdirSync(join(root, path)).sort()) {
      signal.throwIfAborted();
      const below = path === "" ? name : `${path}/${name}`;
      const stat = lstatSync(join(root, below));
      if (stat.isDirectory()) await walk(below);
      else if (stat.isFile())
        subjects.push({ name: below, digest: { sha256: await sha256(join(root, below)) } });
    }
  };
  await walk("");
  return subjects;
}

async function sha256(file: string): Promise<string> {
  const hash = new Bun.CryptoHasher("sha256");
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
