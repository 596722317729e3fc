/**
 * Errors by kind. Every layer throws these; only the API's edge turns a kind into an HTTP status, and the
 * client turns the status back into the same class. Nobody matches on message text.
 */
export type ErrorKind =
  | "invalid"
  | "unauthorized"
  | "forbidden"
  | "not-found"
  | "not-modified"
  | "conflict"
  | "too-large"
  | "not-implemented"
  | "unavailable"
  | "cancelled"
  | "internal"
  | "no-space";

/** Docker's HTTP status of each kind. */
export const statusOfKind: Record<ErrorKind, number> = {
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  "not-found": 404,
  "not-modified": 304,
  conflict: 409,
  "too-large": 413,
  "not-implemented": 501,
  unavailable: 503,
  cancelled: 499,
  internal: 500,
  // Docker has no status of its own for a full disk; back from the wire it is internal.
  "no-space": 500,
};

export class GantryError extends Error {
  constructor(
    readonly kind: ErrorKind,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.name = new.target.name;
  }
  get status(): number {
    return statusOfKind[this.kind];
  }
}

const kindError = (kind: ErrorKind) =>
  class extends GantryError {
    constructor(message: string, options?: { cause?: unknown }) {
      super(kind, message, options);
    }
  };

export class InvalidParameter extends kindError("invalid") {}
export class Unauthorized extends kindError("unauthorized") {}
export class Forbidden extends kindError("forbidden") {}
export class NotFound extends kindError("not-found") {}
export class NotModified extends kindError("not-modified") {}
export class Conflict extends kindError("conflict") {}
export class TooLarge extends kindError("too-large") {}
export class NotImplemented extends kindError("not-implemented") {}
export class Unavailable extends kindError("unavailable") {}
export class Cancelled extends kindError("cancelled") {}
export class Internal extends kindError("internal") {}
/** The disk, or a quota on it, is full. */
export class NoSpace extends kindError("no-space") {}

const classes: Record<ErrorKind, new (message: string, options?: { cause?: unknown }) => GantryError> = {
  invalid: InvalidParameter,
  unauthorized: Unauthorized,
  forbidden: Forbidden,
  "not-found": NotFound,
  "not-modified": NotModified,
  conflict: Conflict,
  "too-large": TooLarge,
  "not-implemented": NotImplemented,
  unavailable: Unavailable,
  cancelled: Cancelled,
  internal: Internal,
  "no-space": NoSpace,
};

/** The error of a kind, as when it comes back from a worker or over HTTP. */
export function errorOfKind(kind: ErrorKind, message: string, options?: { cause?: unknown }): GantryError {
  return new classes[kind](message, options);
}

/** The kind behind an HTTP status; what is unknown is internal. */
export function kindOfStatus(status: number): ErrorKind {
  const kinds = Object.keys(statusOfKind) as ErrorKind[];
  return kinds.find((kind) => statusOfKind[kind] === status) ?? "internal";
}

const fullDisk = new Set(["ENOSPC", "EDQUOT", "SQLITE_FULL"]);

/** An error of a full disk as NoSpace, whoever met it; any other as it is. @param what was being written, for the message */
export function explainFullDisk(error: unknown, what: string): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (typeof code !== "string" || !fullDisk.has(code) || error instanceof GantryError) return error;
  return new NoSpace(`${what}: no space left on device`, { cause: error });
}

/** The HTTP status of whatever was thrown; what is unknown is internal. */
export function statusOf(error: unknown): number {
  return error instanceof GantryError ? error.status : statusOfKind.internal;
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  // A clearing up that failed too has no words of its own; what led to it is the reason.
  if (error instanceof SuppressedError) return messageOf(error.suppressed);
  if (!(error instanceof Error)) return String(error);
  const { code, syscall, path } = error as NodeJS.ErrnoException;
  if (!code || !syscall || !path) return error.message;
  // Node's "ENOENT: no such file or directory, open '/x'", with what it is about first.
  const [reason] = error.message.replace(`${code}: `, "").split(`, ${syscall}`);
  return `${syscall} ${path}: ${reason}`;
}
