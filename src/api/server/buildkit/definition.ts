/**
 * Where low-level definitions stand for places: a context of a Dockerfile may be a definition of one source. Results of
 * builds are told as definitions of our own, which clients hand back as inputs of other builds.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import type { LowLevel } from "../../../build/types.ts";
import { digestOf } from "../../../lib/digest.ts";
import type { ContextSource } from "./frontend.ts";
import { type Definition, DefinitionSchema, OpSchema } from "./proto/ops_pb.ts";

const resultPrefix = "gantry-result://";

/** @param id the reference given out for a build */
export const resultDefinition = (id: string): Definition => sourceDefinition(`${resultPrefix}${id}`);

/** @param name for people */
export function sourceDefinition(identifier: string, name?: string): Definition {
  const source = toBinary(OpSchema, create(OpSchema, { op: { case: "source", value: { identifier } } }));
  const end = toBinary(OpSchema, create(OpSchema, { inputs: [{ digest: digestOf(source) }] }));
  const description: Record<string, string> = name === undefined ? {} : { "llb.customname": name };
  const metadata = { [digestOf(source)]: { description }, [digestOf(end)]: {} };
  return create(DefinitionSchema, { def: [source, end], metadata });
}

/** The reference that a source stands for; undefined: it is something else. */
export const resultId = (identifier: string): string | undefined =>
  identifier.startsWith(resultPrefix) ? identifier.slice(resultPrefix.length) : undefined;

/** The sources that a definition names. */
export const sourcesOf = ({ ops }: LowLevel.Definition): (LowLevel.SourceOp & { op: LowLevel.Op })[] =>
  [...ops.values()].flatMap((op) => (op.does.type === "source" ? [{ ...op.does, op }] : []));

/** The place that a definition names and nothing else; undefined: it has operations that have to be done. */
export function placeOf(definition: LowLevel.Definition): ContextSource | undefined {
  const [source] = sourcesOf(definition);
  if (!source || definition.ops.size !== 1) return undefined;
  const { identifier, attrs } = source;
  const id = resultId(identifier);
  if (id !== undefined) return { result: id };
  const [, scheme = "", rest = ""] = /^([a-z+-]+):\/\/(.*)$/.exec(identifier) ?? [];
  switch (scheme) {
    case "local":
      return { local: rest };
    case "docker-image":
      return { image: rest };
    case "git": {
      const [place = "", fragment] = rest.split("#", 2);
      const url = attrs["git.fullurl"] || `https://${place}`;
      return { remote: fragment === undefined ? url : `${url}#${fragment}` };
    }
    default:
      return undefined;
  }
}
