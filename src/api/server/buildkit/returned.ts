/** What a front end has returned as the result of its build (frontend/gateway/pb: Result), as a build to be done. */
import * as v from "valibot";
import type { LowLevel } from "../../../build/types.ts";
import { InvalidParameter } from "../../../lib/errors.ts";
import { parseImageConfig } from "../../../lib/oci-schema.ts";
import { parseJson, validate } from "../exchange.ts";
import { resultDefinition, resultId, sourcesOf } from "./definition.ts";
import { type DockerfileBuild, lowLevelBuild } from "./frontend.ts";
import { parseDefinition } from "./low-level.ts";
import type { Result } from "./proto/gateway_pb.ts";

const platformSchema = v.object({
  os: v.string(),
  architecture: v.string(),
  variant: v.optional(v.string()),
});
const platformsSchema = v.object({
  Platforms: v.array(v.object({ ID: v.string(), Platform: platformSchema })),
});

/**
 * @param asked the builds by their references
 * @returns undefined: it has no files, and nothing is to be made of it
 * @throws InvalidParameter a reference or platform that is not there
 */
export function returnedBuild(
  { result, metadata }: Result,
  asked: ReadonlyMap<string, DockerfileBuild>,
): DockerfileBuild | undefined {
  const buildOf = (id: string): DockerfileBuild => {
    const build = asked.get(id);
    if (!build) throw new InvalidParameter(`no such reference: ${id}`);
    return build;
  };
  switch (result.case) {
    case "ref":
    case "refDeprecated": {
      const id = typeof result.value === "string" ? result.value : result.value.id;
      const config = configOf(metadata["containerimage.config"]);
      if (id === "")
        return config && lowLevelBuild({ results: [{ definition: { ops: new Map() }, config }] });
      const build = buildOf(id);
      // What a build of ours comes to has its config already.
      return config ? withResults(build, [{ definition: definitionOf(id, build), config }]) : build;
    }
    case "refs":
    case "refsDeprecated": {
      const refs = Object.entries(result.value.refs).map(
        ([name, ref]) => [name, typeof ref === "string" ? ref : ref.id] as const,
      );
      const platforms = platformsOf(metadata["refs.platforms"]);
      const results = refs.map(([name, id]) => {
        const platform = platforms.get(name);
        if (!platform) throw new InvalidParameter(`the result ${name} has no platform in refs.platforms`);
        const definition = id === "" ? { ops: new Map() } : definitionOf(id, buildOf(id));
        return { platform, definition, config: configOf(metadata[`containerimage.config/${name}`]) };
      });
      const [first] = refs.filter(([, id]) => id !== "").map(([, id]) => buildOf(id));
      return withResults(first ?? lowLevelBuild({ results }), results);
    }
    default:
      return undefined;
  }
}

type Results = LowLevel.LowLevelBuild["results"];

/** With the settings of one of them; they are of one front end, and its builds are alike. */
function withResults({ options, attributes }: DockerfileBuild, results: Results): DockerfileBuild {
  const platforms = results.flatMap(({ platform }) => platform ?? []);
  const several = platforms.length === results.length && results.length > 0;
  const build = lowLevelBuild({ results });
  const { cacheFrom, attestations, networkMode, buildArgs } = options;
  return {
    ...build,
    attributes,
    options: {
      ...build.options,
      cacheFrom,
      attestations,
      networkMode,
      buildArgs,
      ...(several && { platforms }),
    },
  };
}

function definitionOf(id: string, { lowLevel }: DockerfileBuild): LowLevel.Definition {
  const [own] = lowLevel?.results ?? [];
  return own ? own.definition : parseDefinition(resultDefinition(id));
}

function configOf(bytes: Uint8Array | undefined) {
  if (!bytes) return undefined;
  const document = parseJson(Buffer.from(bytes).toString("utf8"), "invalid containerimage.config");
  // Front ends leave the layers out: they come with the export.
  return parseImageConfig(
    Buffer.from(JSON.stringify({ ...(document as object), rootfs: { type: "layers", diff_ids: [] } })),
  );
}

function platformsOf(bytes: Uint8Array | undefined) {
  if (!bytes) throw new InvalidParameter("a result for several platforms has to name them: refs.platforms");
  const text = Buffer.from(bytes).toString("utf8");
  const { Platforms } = validate(platformsSchema, parseJson(text, "invalid refs.platforms"));
  return new Map(
    Platforms.map(({ ID, Platform }) => [ID, { ...Platform, variant: Platform.variant || undefined }]),
  );
}

/** References of other results that a build begins from. */
export function resultsIn({ contexts, result, lowLevel }: DockerfileBuild): string[] {
  const sources = lowLevel?.results.flatMap(({ definition }) => sourcesOf(definition)) ?? [];
  return [
    ...Object.values(contexts).flatMap((source) => ("result" in source ? [source.result] : [])),
    ...(result === undefined ? [] : [result]),
    ...sources.flatMap(({ identifier }) => resultId(identifier) ?? []),
  ];
}
