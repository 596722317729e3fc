/** Our own token endpoint: `GET /token` with Basic, and OAuth2's `POST /token` with a password. */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
} from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { SignJWT } from "jose";
import { InvalidParameter } from "../../../lib/errors.ts";
import { DistributionError } from "../errors.ts";
import type { Access } from "./access.ts";
import { parseBasic } from "./basic.ts";
import type { Htpasswd } from "./htpasswd.ts";
import { actionsOf, type Grant, isCatalog, parseScope } from "./scope.ts";
import type { TokenOptions } from "./token.ts";

/** Life of a token, seconds. */
const lifetime = 300;
const maxScopes = 100;

export class TokenIssuer {
  constructor(
    private readonly key: KeyObject,
    private readonly options: TokenOptions,
    private readonly passwords: Htpasswd,
    private readonly access: Access,
  ) {}

  async issue(request: Request): Promise<Response> {
    const asked = await readAsked(request);
    if (asked.service !== this.options.service) {
      throw new DistributionError(
        "UNSUPPORTED",
        { service: asked.service },
        { status: 400, message: "unknown service" },
      );
    }
    const { user } = asked;
    if (user !== undefined && !(await this.passwords.verify(user, asked.password))) {
      throw new DistributionError("UNAUTHORIZED", undefined, {
        headers: { "WWW-Authenticate": `Basic realm="${this.options.service}"` },
      });
    }
    const token = await this.#sign(user, this.#grants(user, asked.scopes));
    const issued_at = new Date().toISOString();
    return Response.json(
      { token, access_token: token, token_type: "Bearer", expires_in: lifetime, issued_at },
      { headers: { "Cache-Control": "no-store" } },
    );
  }

  /** The part of what was asked that the user may do: asking for too much gives less, not an error. */
  #grants(user: string | undefined, scopes: string[]): Grant[] {
    const principal = this.access.principal(user);
    return scopes.flatMap((scope) => {
      const asked = parseScope(scope);
      if (!asked) return [];
      if (isCatalog(asked)) return principal.mayList ? [asked] : [];
      if (asked.type !== "repository") return [];
      const granted = actionsOf(asked.actions).filter((action) => principal.allows(asked.name, action));
      return granted.length > 0 ? [{ ...asked, actions: granted }] : [];
    });
  }

  async #sign(user: string | undefined, access: Grant[]): Promise<string> {
    return await new SignJWT({ access })
      .setProtectedHeader({ alg: "ES256", typ: "JWT" })
      .setIssuer(this.options.issuer)
      .setAudience(this.options.service)
      .setSubject(user ?? "")
      .setIssuedAt()
      .setNotBefore("-5 seconds")
      .setExpirationTime(`${lifetime} seconds`)
      .setJti(randomUUID())
      .sign(this.key);
  }
}

interface Asked {
  service: string;
  scopes: string[];
  user: string | undefined;
  password: string;
}

/** @throws DistributionError */
async function readAsked(request: Request): Promise<Asked> {
  const isForm = request.method === "POST";
  const values = isForm ? new URLSearchParams(await request.text()) : new URL(request.url).searchParams;
  const given = isForm ? passwordGrant(values) : parseBasic(request.headers.get("authorization") ?? "");
  return {
    service: values.get("service") ?? "",
    scopes: values
      .getAll("scope")
      .flatMap((scope) => scope.split(" "))
      .slice(0, maxScopes),
    user: given?.user,
    password: given?.password ?? "",
  };
}

function passwordGrant(form: URLSearchParams): { user: string; password: string } {
  const [user, password] = [form.get("username"), form.get("password")];
  if (form.get("grant_type") !== "password" || user === null || password === null) {
    throw new DistributionError("UNSUPPORTED", undefined, { status: 400, message: "unsupported grant type" });
  }
  return { user, password };
}

/**
 * The key that signs our tokens: a PEM file (P-256), made when it is missing.
 * @throws InvalidParameter when the file has no such key
 */
export async function signingKey(path: string): Promise<{ secret: KeyObject; open: KeyObject }> {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pem = privateKey.export({ type: "pkcs8", format: "pem" });
  try {
    await writeFile(path, pem, { flag: "wx", mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
  try {
    const secret = createPrivateKey(await readFile(path, "utf8"));
    return { secret, open: createPublicKey(secret) };
  } catch (error) {
    throw new InvalidParameter(`${path} is not a private key`, { cause: error });
  }
}
