/**
 * Low-level definitions (solver/pb), as far as clients say by them where files are: one source, or an archive that is
 * unpacked. Results of builds are told as definitions of our own, which clients hand back as inputs of other builds.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { digestOf } from "../../../lib/digest.ts";
import { InvalidParameter, NotImplemented } from "../../../lib/errors.ts";
import type { ContextSource, DockerfileBuild } from "./frontend.ts";
import { parseFrontend } from "./frontend.ts";
import { type Definition, DefinitionSchema, type Op, OpSchema } from "./proto/ops_pb.ts";

const resultPrefix = "gantry-result://";

/** @param id the reference given out for a build */
export function resultDefinition(id: string): Definition {
  const source = toBinary(
    OpSchema,
    create(OpSchema, { op: { case: "source", value: { identifier: `${resultPrefix}${id}` } } }),
  );
  const end = toBinary(OpSchema, create(OpSchema, { inputs: [{ digest: digestOf(source) }] }));
  const digests = [source, end].map((bytes) => [digestOf(bytes), {}]);
  return create(DefinitionSchema, { def: [source, end], metadata: Object.fromEntries(digests) });
}

/** @throws InvalidParameter, NotImplemented */
export function sourceOf(definition: Definition): ContextSource {
  const { identifier, attrs } = sourceOp(definition);
  const [, scheme = "", rest = ""] = /^([a-z+-]+):\/\/(.*)$/.exec(identifier) ?? [];
  switch (scheme) {
    case "gantry-result":
      return { result: rest };
    case "local":
      return { local: rest };
    case "docker-image":
      return { image: rest };
    case "git": {
      const [place = "", fragment] = rest.split("#", 2);
      const url = attrs["git.fullurl"] || `https://${place}`;
      return { remote: fragment === undefined ? url : `${url}#${fragment}` };
    }
    case "http":
    case "https":
      return { remote: identifier };
    default:
      throw new NotImplemented(`the source ${identifier} of a low-level definition is not supported`);
  }
}

/** A build whose result has what the source has. A file by http keeps the name that it is to have. */
export function definitionBuild(definition: Definition): DockerfileBuild {
  const { identifier, attrs } = sourceOp(definition);
  const source = sourceOf(definition);
  const build = { ...parseFrontend({}), dockerfileDirectory: undefined, contextDirectory: undefined };
  if ("image" in source) return { ...build, text: `FROM ${source.image}\n` };
  if ("local" in source) return { ...build, contextDirectory: source.local, text: allOfContext };
  if ("result" in source) return { ...build, contexts: { result: source }, text: "FROM result\n" };
  if (!("remote" in source)) throw new NotImplemented(`the source ${identifier} is not supported`);
  const isFile = /^https?:/.test(identifier) && !hasFileOp(definition);
  if (!isFile) return { ...build, remote: source.remote, text: allOfContext };
  const name = attrs["http.filename"] || "download";
  return { ...build, text: `FROM scratch\nADD ["${source.remote}", "/${name}"]\n` };
}

const allOfContext = "FROM scratch\nCOPY . /\n";

function ops({ def }: Definition): Op[] {
  try {
    return def.map((bytes) => fromBinary(OpSchema, bytes));
  } catch (error) {
    throw new InvalidParameter("invalid low-level definition", { cause: error });
  }
}

const hasFileOp = (definition: Definition) => ops(definition).some(({ op }) => op.case === "file");

function sourceOp(definition: Definition): { identifier: string; attrs: Record<string, string> } {
  const all = ops(definition);
  const sources = all.flatMap(({ op }) => (op.case === "source" ? [op.value] : []));
  const [only] = sources;
  const others = all.some(({ op }) => op.case === "exec") || sources.length !== 1;
  if (!only || others)
    throw new NotImplemented("building a low-level definition is not supported: build a Dockerfile");
  return only;
}
