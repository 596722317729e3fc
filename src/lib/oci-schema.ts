/** Validates image documents that come from outside: registries, archives (OCI image-spec 1.1). */
import * as v from "valibot";
import { type Digest, isDigest } from "./digest.ts";
import { InvalidParameter } from "./errors.ts";
import type { ImageConfig, Index, Manifest } from "./oci.ts";

const digest = v.custom<Digest>((input) => typeof input === "string" && isDigest(input), "invalid digest");
/** Go writes an absent slice or map as null. */
const absent = <const S extends v.GenericSchema>(schema: S) =>
  v.pipe(
    v.nullish(schema),
    v.transform((value) => value ?? undefined),
  );
const strings = v.array(v.string());
const annotations = absent(v.record(v.string(), v.string()));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const platform = v.object({
  os: v.string(),
  architecture: v.string(),
  variant: v.optional(v.string()),
  "os.version": v.optional(v.string()),
  "os.features": absent(strings),
});
const descriptor = v.object({
  mediaType: v.pipe(v.string(), v.minLength(1)),
  digest,
  size: count,
  annotations,
  platform: absent(platform),
  artifactType: v.optional(v.string()),
});
const common = {
  schemaVersion: v.literal(2),
  mediaType: v.optional(v.string()),
  artifactType: v.optional(v.string()),
  subject: absent(descriptor),
  annotations,
};
const manifest = v.object({ ...common, config: descriptor, layers: v.array(descriptor) });
const index = v.object({ ...common, manifests: v.array(descriptor) });

/** Old builders wrote a single word instead of a list, and Docker takes it for one. */
const words = v.union([
  strings,
  v.pipe(
    v.string(),
    v.transform((word) => [word]),
  ),
]);
const set = absent(v.record(v.string(), v.looseObject({})));
const runConfig = v.object({
  User: v.optional(v.string()),
  ExposedPorts: set,
  Env: absent(strings),
  Entrypoint: v.nullish(words),
  Cmd: v.nullish(words),
  Volumes: set,
  WorkingDir: v.optional(v.string()),
  Labels: annotations,
  StopSignal: v.optional(v.string()),
  ArgsEscaped: v.optional(v.boolean()),
  Healthcheck: absent(
    v.object({
      Test: absent(strings),
      Interval: v.optional(v.number()),
      Timeout: v.optional(v.number()),
      StartPeriod: v.optional(v.number()),
      StartInterval: v.optional(v.number()),
      Retries: v.optional(v.number()),
    }),
  ),
  OnBuild: v.nullish(strings),
  Shell: v.nullish(words),
});
const config = v.object({
  created: absent(v.string()),
  author: v.optional(v.string()),
  // The spec wants both, but Docker runs images that lack them, and says that it can't know whether they fit.
  architecture: v.optional(v.string(), ""),
  variant: v.optional(v.string()),
  os: v.optional(v.string(), "linux"),
  config: absent(runConfig),
  rootfs: v.object({
    // There is no other.
    type: v.optional(
      v.pipe(
        v.string(),
        v.transform(() => "layers" as const),
      ),
      "layers",
    ),
    diff_ids: v.pipe(
      v.nullable(v.array(digest)),
      v.transform((ids) => ids ?? []),
    ),
  }),
  history: absent(
    v.array(
      v.object({
        created: absent(v.string()),
        created_by: v.optional(v.string()),
        author: v.optional(v.string()),
        comment: v.optional(v.string()),
        empty_layer: v.optional(v.boolean()),
      }),
    ),
  ),
});

/** Reads an image manifest (manifest.md). @throws InvalidParameter naming the field */
export function parseManifest(bytes: Uint8Array): Manifest {
  return parse("image manifest", manifest, bytes);
}

/** Reads an image index or Docker's manifest list (image-index.md). @throws InvalidParameter naming the field */
export function parseIndex(bytes: Uint8Array): Index {
  return parse("image index", index, bytes);
}

/** Reads an image configuration (config.md). @throws InvalidParameter naming the field */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  return parse("image configuration", config, bytes);
}

function parse<S extends v.GenericSchema>(what: string, schema: S, bytes: Uint8Array): v.InferOutput<S> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new InvalidParameter(`invalid ${what}: not JSON`, { cause: error });
  }
  const result = v.safeParse(schema, json);
  if (result.success) return result.output;
  const issue = result.issues[0];
  throw new InvalidParameter(`invalid ${what}: ${v.getDotPath(issue) ?? "document"}: ${issue.message}`);
}
