/** How an image came to be: SLSA provenance as BuildKit writes it (docs/attestations/slsa-provenance.md). */
import { hexOf, isDigest } from "../../lib/digest.ts";
import { familiar, familiarName, parseReference } from "../../lib/reference.ts";
import { formatPlatform, hostPlatform } from "../graph/scope.ts";
import type { BuildRequest } from "../types.ts";
import type { AttestationOptions, BuildOrigin, Predicate } from "./types.ts";

const buildType = {
  "v0.2": "https://mobyproject.org/buildkit@v1",
  v1: "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md",
};

/** @param times absent for a build whose result hangs on nothing but its input */
export function provenance(
  request: BuildRequest,
  origin: BuildOrigin,
  { mode, version, builderId }: NonNullable<AttestationOptions["provenance"]>,
  run: { id: string; startedOn: string; finishedOn: string } | undefined,
): Predicate {
  const materials = origin.bases.map(({ reference, image }) => ({
    uri: materialUri(reference, origin),
    digest: { sha256: hexOf(image.manifest ?? image.id) },
  }));
  const parameters = parametersOf(request, origin, mode);
  const platform = formatPlatform(hostPlatform());
  const { dockerfile } = origin;
  const source = dockerfile && {
    infos: [
      {
        filename: dockerfile.name,
        language: "Dockerfile",
        data: Buffer.from(dockerfile.text).toString("base64"),
      },
    ],
  };
  if (version === "v1")
    return {
      type: "https://slsa.dev/provenance/v1",
      body: {
        buildDefinition: {
          buildType: buildType.v1,
          externalParameters: {
            configSource: { ...(dockerfile && { path: dockerfile.name }) },
            request: parameters,
          },
          internalParameters: { builderPlatform: platform },
          resolvedDependencies: materials,
        },
        runDetails: {
          builder: { id: builderId },
          metadata: {
            ...(run && { invocationID: run.id, startedOn: run.startedOn, finishedOn: run.finishedOn }),
            buildkit_completeness: { request: mode === "max", resolvedDependencies: false },
            ...(mode === "max" && source && { buildkit_metadata: { source } }),
          },
        },
      },
    };
  return {
    type: "https://slsa.dev/provenance/v0.2",
    body: {
      builder: { id: builderId },
      buildType: buildType["v0.2"],
      materials,
      invocation: {
        configSource: { ...(dockerfile && { entryPoint: dockerfile.name }) },
        parameters,
        environment: { platform },
      },
      metadata: {
        ...(run && {
          buildInvocationID: run.id,
          buildStartedOn: run.startedOn,
          buildFinishedOn: run.finishedOn,
        }),
        completeness: { parameters: mode === "max", environment: true, materials: false },
        reproducible: false,
        ...(mode === "max" && source && { "https://mobyproject.org/buildkit@v1#metadata": { source } }),
      },
    },
  };
}

/** Of arguments and secrets only `max` speaks, and of secrets their names alone. */
function parametersOf(request: BuildRequest, origin: BuildOrigin, mode: "min" | "max"): object {
  if (!origin.dockerfile) return { frontend: "" };
  const locals = [{ name: "context" }, { name: "dockerfile" }];
  if (mode === "min") return { frontend: "dockerfile.v0", locals };
  const prefixed = (prefix: string, values: Record<string, string | null>) =>
    Object.fromEntries(
      Object.entries(values).flatMap(([name, value]) =>
        value === null ? [] : [[`${prefix}:${name}`, value] as const],
      ),
    );
  return {
    frontend: "dockerfile.v0",
    args: {
      ...prefixed("build-arg", request.buildArgs),
      ...prefixed("label", request.labels),
      ...(request.target !== undefined && { target: request.target }),
    },
    ...(origin.secrets.length > 0 && { secrets: origin.secrets }),
    ...(origin.ssh.length > 0 && { ssh: origin.ssh }),
    locals,
  };
}

/** Of an image without a name, or of one that is a client's alone, there is no more to say than what it was called. */
function materialUri(reference: string, origin: BuildOrigin): string {
  return isDigest(reference) || reference.includes("://") ? reference : imageUri(reference, origin);
}

/** `pkg:docker/busybox@latest?platform=linux%2Famd64`, also for the image that a statement is about. */
export function imageUri(reference: string, { platform }: Pick<BuildOrigin, "platform">): string {
  const parsed = parseReference(reference);
  const { tag = "latest", digest } = parsed;
  const version = familiar(parsed).includes("@") ? digest! : tag;
  return `pkg:docker/${familiarName(parsed)}@${version}?platform=${encodeURIComponent(formatPlatform(platform))}`;
}
