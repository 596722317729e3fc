/** Low-level definitions (solver/pb), written as clients of BuildKit marshal them. */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type Definition,
  DefinitionSchema,
  type ExecOpSchema,
  type FileActionSchema,
  type OpMetadataSchema,
  OpSchema,
} from "../../src/api/server/buildkit/proto/ops_pb.ts";
import { digestOf } from "../../src/lib/digest.ts";

/** One of an operation's results. */
export interface State {
  bytes: Uint8Array;
  index: number;
  /** Of the operation and all before it, those that are taken first. */
  ops: Uint8Array[];
  metadata: Record<string, MessageInitShape<typeof OpMetadataSchema>>;
}

type OpCase = MessageInitShape<typeof OpSchema>["op"];

function operation(
  inputs: readonly State[],
  op: OpCase,
  metadata: MessageInitShape<typeof OpMetadataSchema> = {},
): State {
  const bytes = toBinary(
    OpSchema,
    create(OpSchema, {
      inputs: inputs.map((input) => ({ digest: digestOf(input.bytes), index: BigInt(input.index) })),
      op,
    }),
  );
  const before = new Map(inputs.flatMap(({ ops }) => ops).map((one) => [digestOf(one), one]));
  return {
    bytes,
    index: 0,
    ops: [...before.values(), bytes],
    metadata: Object.assign({ [digestOf(bytes)]: metadata }, ...inputs.map((input) => input.metadata)),
  };
}

/** Another result of the same operation. */
export const output = (state: State, index: number): State => ({ ...state, index });

export const source = (identifier: string, attrs: Record<string, string> = {}): State =>
  operation([], { case: "source", value: { identifier, attrs } });

/** A shell's command in `root`. */
export function exec(
  root: State,
  script: string,
  more: Omit<MessageInitShape<typeof ExecOpSchema>, "$typeName"> & {
    inputs?: State[];
    meta?: object;
    metadata?: MessageInitShape<typeof OpMetadataSchema>;
  } = {},
): State {
  const { inputs = [], meta, mounts = [], metadata, ...rest } = more;
  return operation(
    [root, ...inputs],
    {
      case: "exec",
      value: {
        meta: { args: ["/bin/sh", "-c", script], cwd: "/", ...meta },
        mounts: [{ input: 0n, dest: "/", output: 0n }, ...mounts],
        ...rest,
      },
    },
    metadata,
  );
}

export const file = (
  inputs: readonly State[],
  ...actions: MessageInitShape<typeof FileActionSchema>[]
): State => operation(inputs, { case: "file", value: { actions } });

export const merge = (...inputs: State[]): State =>
  operation(inputs, {
    case: "merge",
    value: { inputs: inputs.map((_, i) => ({ input: BigInt(i) })) },
  });

export const diff = (lower: State, upper: State): State =>
  operation([lower, upper], { case: "diff", value: { lower: { input: 0n }, upper: { input: 1n } } });

export const nested = (from: State, attrs: Record<string, string> = {}): State =>
  operation([from], {
    case: "build",
    value: { builder: -1n, inputs: { "buildkit.llb.definition": { input: 0n } }, attrs },
  });

export function define(state: State): Definition {
  const end = toBinary(
    OpSchema,
    create(OpSchema, { inputs: [{ digest: digestOf(state.bytes), index: BigInt(state.index) }] }),
  );
  return create(DefinitionSchema, { def: [...state.ops, end], metadata: state.metadata });
}
