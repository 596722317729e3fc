/** Places in a Dockerfile, and errors that point at them, as clients draw them. */
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BuildStepFailed, DockerfileError } from "../../../build/index.ts";
import { type ErrorKind, GantryError, messageOf } from "../../../lib/errors.ts";
import { type Range, RangeSchema, type SourceInfo, SourceInfoSchema } from "./proto/ops_pb.ts";
import { type Status, StatusSchema } from "./proto/status_pb.ts";

export interface Source {
  filename: string;
  text: string;
}

const codeOf: Record<ErrorKind, Code> = {
  invalid: Code.InvalidArgument,
  unauthorized: Code.Unauthenticated,
  forbidden: Code.PermissionDenied,
  "not-found": Code.NotFound,
  "not-modified": Code.Unknown,
  conflict: Code.AlreadyExists,
  "too-large": Code.ResourceExhausted,
  "not-implemented": Code.Unimplemented,
  unavailable: Code.Unavailable,
  cancelled: Code.Canceled,
  "no-space": Code.ResourceExhausted,
  internal: Code.Unknown,
};

export function sourceInfo({ filename, text }: Source): SourceInfo {
  return create(SourceInfoSchema, { filename, data: new TextEncoder().encode(text), language: "Dockerfile" });
}

export function sourceRange({ line, endLine }: { line: number; endLine?: number }): Range {
  return create(RangeSchema, { start: { line }, end: { line: endLine ?? line } });
}

/** What BuildKit says of a build's error. */
export function buildMessage(error: unknown): string {
  if (!(error instanceof BuildStepFailed)) return messageOf(error);
  return `process ${JSON.stringify(error.command)} did not complete successfully: exit code: ${error.exitCode}`;
}

/** A build's error as gRPC carries it; with the lines of the Dockerfile where it has any. */
export function toStatus(error: unknown, source: Source | undefined): Status {
  const code =
    error instanceof ConnectError
      ? error.code
      : codeOf[error instanceof GantryError ? error.kind : "internal"];
  const place =
    error instanceof BuildStepFailed ? error.range : error instanceof DockerfileError ? error : undefined;
  const details = place && source ? [sourceDetail(source, place)] : [];
  return create(StatusSchema, { code, message: buildMessage(error), details });
}

/** BuildKit's own details are JSON under a name of its own (solver/errdefs), not protobuf. */
function sourceDetail(source: Source, { line, endLine }: { line: number; endLine?: number }) {
  const detail = {
    info: { filename: source.filename, data: Buffer.from(source.text).toString("base64") },
    ranges: [{ start: { line }, end: { line: endLine ?? line } }],
  };
  return {
    typeUrl: "github.com/moby/buildkit/errdefs.Source+json",
    value: new TextEncoder().encode(JSON.stringify(detail)),
  };
}

/** @param status goes to the client whole, details too */
export function connectError(status: Status): ConnectError {
  const bytes = toBinary(StatusSchema, status);
  return new ConnectError(status.message, status.code as Code, {
    "grpc-status-details-bin": Buffer.from(bytes).toString("base64").replace(/=+$/, ""),
  });
}
