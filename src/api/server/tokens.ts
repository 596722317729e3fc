/** Tokens of the API: Gantry's own endpoints. A secret is in the answer to its making, and nowhere else. */
import * as v from "valibot";
import type { TokenRecord } from "../../engine/types.ts";
import { field, flag, stringMap, text } from "./fields.ts";
import type { Route } from "./router.ts";
import { parseTimestamp, rfc3339 } from "./times.ts";

const createSchema = v.object({
  Name: text(),
  ReadOnly: flag(),
  Labels: field(stringMap, {}),
  /** RFC 3339, or seconds since the epoch; empty is never. */
  ExpiresAt: text(),
});

export const tokenRoutes: Route[] = [
  { method: "GET", path: "/tokens", handle: (x) => x.json(x.engine.tokens.list().map(encode)) },
  {
    method: "POST",
    path: "/tokens/create",
    async handle(x) {
      const body = await x.body(createSchema);
      const expires = parseTimestamp(body.ExpiresAt);
      const { token, secret } = x.engine.tokens.create(body.Name, {
        readOnly: body.ReadOnly,
        labels: body.Labels,
        expiresAt: expires === undefined ? undefined : Number(expires / 1_000_000n),
      });
      x.json({ ...encode(token), Secret: secret }, 201);
    },
  },
  {
    method: "DELETE",
    path: "/tokens/{name}",
    handle(x) {
      x.engine.tokens.remove(x.params.name!);
      x.empty(204);
    },
  },
];

function encode({ name, readOnly, labels, createdAt, expiresAt }: TokenRecord) {
  return {
    Name: name,
    ReadOnly: readOnly,
    Labels: labels,
    CreatedAt: rfc3339(createdAt),
    ExpiresAt: expiresAt === undefined ? "" : rfc3339(expiresAt),
  };
}
