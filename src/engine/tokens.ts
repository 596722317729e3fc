/** Tokens of the API: who may do what, kept without the secrets themselves. */
import { createHash, randomBytes } from "node:crypto";
import { Conflict, InvalidParameter, NotFound } from "../lib/errors.ts";
import type { Metadata, Table } from "../store/types.ts";
import type { EngineTokens, TokenRecord, TokenScope } from "./types.ts";

/** Says what the text is where it turns up: in a log, a repository, a scanner for secrets. */
const prefix = "gantry_";
/** Bytes of chance: nothing to guess, so that a plain hash keeps it. */
const secretLength = 32;

const hashOf = (secret: string) => createHash("sha256").update(secret).digest("hex");

export class Tokens implements EngineTokens {
  readonly #table: Table<TokenRecord>;

  constructor(
    metadata: Metadata,
    private readonly now: () => number = Date.now,
  ) {
    this.#table = metadata.table<TokenRecord>("tokens", { hash: (token) => token.hash });
  }

  create(name: string, scope: TokenScope): { token: TokenRecord; secret: string } {
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/.test(name))
      throw new InvalidParameter(
        `invalid token name ${JSON.stringify(name)}: letters, digits and _.- are wanted, 128 at most`,
      );
    if (scope.expiresAt !== undefined && scope.expiresAt <= this.now())
      throw new InvalidParameter("the token would have expired already");
    if (this.#table.get(name)) throw new Conflict(`token ${name} already exists`);
    const secret = `${prefix}${randomBytes(secretLength).toString("base64url")}`;
    const token = { ...scope, name, hash: hashOf(secret), createdAt: this.now() };
    this.#table.put(name, token);
    return { token, secret };
  }

  list(): TokenRecord[] {
    return this.#table.list();
  }

  remove(name: string): void {
    if (!this.#table.delete(name)) throw new NotFound(`no such token: ${name}`);
  }

  find(secret: string): TokenRecord | undefined {
    const token = this.#table.by("hash", hashOf(secret));
    return token && (token.expiresAt === undefined || token.expiresAt > this.now()) ? token : undefined;
  }
}
