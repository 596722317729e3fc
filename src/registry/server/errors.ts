/** Errors of the distribution spec ("Error Codes"): `{"errors":[{"code","message","detail"}]}`. */
export const errorCodes = {
  BLOB_UNKNOWN: [404, "blob unknown to registry"],
  BLOB_UPLOAD_INVALID: [400, "blob upload invalid"],
  BLOB_UPLOAD_UNKNOWN: [404, "blob upload unknown to registry"],
  DIGEST_INVALID: [400, "provided digest did not match uploaded content"],
  MANIFEST_BLOB_UNKNOWN: [404, "manifest references a manifest or blob unknown to registry"],
  MANIFEST_INVALID: [400, "manifest invalid"],
  MANIFEST_UNKNOWN: [404, "manifest unknown to registry"],
  NAME_INVALID: [400, "invalid repository name"],
  NAME_UNKNOWN: [404, "repository name not known to registry"],
  SIZE_INVALID: [400, "provided length did not match content length"],
  UNAUTHORIZED: [401, "authentication required"],
  DENIED: [403, "requested access to the resource is denied"],
  UNSUPPORTED: [405, "the operation is unsupported"],
  TOOMANYREQUESTS: [429, "too many requests"],
  // Docker's own, for when another registry or the storage does not answer.
  UNAVAILABLE: [503, "service unavailable"],
} as const satisfies Record<string, readonly [number, string]>;

export type ErrorCode = keyof typeof errorCodes;

/** Thrown by a handler; the server's edge turns it into the answer. */
export class DistributionError extends Error {
  readonly status: number;

  /** `status` and `headers` where a case differs from the code's own, e.g. 416. */
  constructor(
    readonly code: ErrorCode,
    readonly detail?: unknown,
    readonly options: { status?: number; headers?: Record<string, string>; message?: string } = {},
  ) {
    super(options.message ?? errorCodes[code][1]);
    this.status = options.status ?? errorCodes[code][0];
  }

  toResponse(): Response {
    const error = { code: this.code, message: this.message, detail: this.detail };
    return Response.json({ errors: [error] }, { status: this.status, headers: this.options.headers });
  }
}
