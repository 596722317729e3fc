/** Users and bcrypt hashes in Apache's htpasswd format (`htpasswd -B`), as docker-registry takes them. */
import { createHmac, randomBytes } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { InvalidParameter } from "../../../lib/errors.ts";

/** bcrypt is slow by design: a password that was right is remembered for so long. Ms. */
const rememberMs = 300_000;
/** The file is looked at again after so long. Ms. */
const recheckMs = 1_000;
const maxRemembered = 10_000;
const bcrypt = /^\$2[aby]?\$\d\d\$[./A-Za-z0-9]{53}$/;
export class Htpasswd {
  #users = new Map<string, string>();
  #version = "";
  #checkedAt = 0;
  readonly #remembered = new Map<string, number>();
  /** Passwords are remembered as HMACs under a key that nobody else has. */
  readonly #key = randomBytes(32);

  private constructor(
    private readonly path: string,
    private readonly now: () => number,
  ) {}

  /** @throws InvalidParameter when the file can't be read or has a hash that is not bcrypt's */
  static async open(path: string, now: () => number = Date.now): Promise<Htpasswd> {
    const file = new Htpasswd(path, now);
    await file.#reload();
    return file;
  }

  /** Whether the password is the user's. A changed file counts after a second. */
  async verify(user: string, password: string): Promise<boolean> {
    if (this.now() - this.#checkedAt >= recheckMs) await this.#reload();
    const hash = this.#users.get(user);
    const proof = createHmac("sha256", this.#key).update(`${hash}\n${user}\n${password}`).digest("base64");
    if ((this.#remembered.get(proof) ?? 0) > this.now()) return true;
    // Somebody else's hash for an unknown user: the time an answer takes does not tell who exists.
    const compared = hash ?? this.#users.values().next().value;
    const isRight = compared !== undefined && (await Bun.password.verify(password, compared));
    if (!isRight || hash === undefined) return false;
    if (this.#remembered.size >= maxRemembered) this.#remembered.clear();
    this.#remembered.set(proof, this.now() + rememberMs);
    return true;
  }

  async #reload(): Promise<void> {
    this.#checkedAt = this.now();
    try {
      const { mtimeMs, size, ino } = await stat(this.path);
      const version = `${mtimeMs} ${size} ${ino}`;
      if (version === this.#version) return;
      this.#users = parse(await readFile(this.path, "utf8"), this.path);
      this.#version = version;
    } catch (error) {
      // A file that is gone for a moment, or half written, does not lock everybody out.
      if (this.#version !== "") return;
      if (error instanceof InvalidParameter) throw error;
      throw new InvalidParameter(`can't read ${this.path}`, { cause: error });
    }
  }
}

function parse(text: string, path: string): Map<string, string> {
  const lines = text.split("\n").map((line) => line.trim());
  const users = new Map<string, string>();
  for (const [index, line] of lines.entries()) {
    if (line === "" || line.startsWith("#")) continue;
    const colon = line.indexOf(":");
    const hash = line.slice(colon + 1);
    if (colon < 1 || !bcrypt.test(hash)) {
      throw new InvalidParameter(`${path}: line ${index + 1} is not a user and a bcrypt hash`);
    }
    users.set(line.slice(0, colon), hash);
  }
  return users;
}
