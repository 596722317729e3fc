/** Which images must be signed, and by whom: asked at a pull, and again before an image is run. */
import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import type { Digest } from "../../lib/digest.ts";
import { Forbidden, InvalidParameter } from "../../lib/errors.ts";
import { familiar, normalize, parseReference, type Reference } from "../../lib/reference.ts";
import type { RepositoryClient } from "../../registry/types.ts";
import type { Store, Table } from "../../store/types.ts";
import type { SignatureRule } from "../types.ts";
import { verifySignature } from "./cosign.ts";
import { digestName } from "./names.ts";

interface Rule extends SignatureRule {
  publicKey: KeyObject;
  /** Of the key, so that signatures that were verified with another count no more. */
  fingerprint: string;
}

/** A `name@digest` whose signature was verified. */
interface Verified {
  fingerprint: string;
}

export class SignaturePolicy {
  /** The longest prefix first. */
  readonly #rules: Rule[];
  readonly #verified: Table<Verified>;

  /** @throws InvalidParameter when a key is none */
  constructor(
    private readonly store: Store,
    rules: readonly SignatureRule[],
  ) {
    this.#rules = rules.map(readRule).sort((a, b) => b.repositories.length - a.repositories.length);
    this.#verified = store.metadata.table<Verified>("verified_signatures");
  }

  /** Before anything of an image is fetched. @throws Forbidden when it must be signed and is not */
  async verify(
    reference: Reference,
    digest: Digest,
    repository: RepositoryClient,
    signal?: AbortSignal,
  ): Promise<void> {
    const rule = this.#ruleOf(reference);
    if (!rule) return;
    const verdict = await verifySignature(repository, digest, rule.publicKey, signal);
    if (verdict !== "signed") {
      const reason = verdict === "unsigned" ? "has no signature" : "has no signature by that key";
      throw new Forbidden(
        `image ${familiar(reference)} (${digest}) is refused: images of ${rule.repositories} must be signed by ${rule.keyFile}, and this one ${reason}`,
      );
    }
    this.#verified.put(digestName(reference, digest), { fingerprint: rule.fingerprint });
  }

  /**
   * Before an image is run. Also what was loaded, tagged or built under a name of the policy is refused: only a pull
   * has seen a signature.
   * @param target as the user named it; where that is an id, all names of the image count
   * @param image its id; it may be gone
   * @throws Forbidden
   */
  check(target: string, image: Digest): void {
    if (this.#rules.length === 0) return;
    const { images } = this.store;
    // A name of an index speaks for each of its images: the index's digest is what was verified.
    const names = images
      .names()
      .filter(
        ({ id, target }) =>
          id === image || images.target(target)?.manifests.some((manifest) => manifest.image === image),
      );
    const all = names.map(({ reference }) => parseReference(reference));
    const wanted = image.includes(target) ? all : [normalize(parseReference(target))];
    for (const reference of wanted) {
      const rule = this.#ruleOf(reference);
      if (!rule) continue;
      const isVerified = all.some(
        ({ domain, path, digest }) =>
          digest &&
          domain === reference.domain &&
          path === reference.path &&
          this.#verified.get(digestName(reference, digest))?.fingerprint === rule.fingerprint,
      );
      if (!isVerified)
        throw new Forbidden(
          `image ${familiar(reference)} is refused: images of ${rule.repositories} must be signed by ${rule.keyFile}, and no pull has verified this one; pull it`,
        );
    }
  }

  #ruleOf({ domain, path }: Reference): Rule | undefined {
    const name = `${domain}/${path}`;
    return this.#rules.find(
      ({ repositories }) => name === repositories || name.startsWith(`${repositories}/`),
    );
  }
}

function readRule(rule: SignatureRule): Rule {
  try {
    const publicKey = createPublicKey(rule.key);
    const der = publicKey.export({ type: "spki", format: "der" });
    return { ...rule, publicKey, fingerprint: createHash("sha256").update(der).digest("hex") };
  } catch (error) {
    throw new InvalidParameter(`${rule.keyFile} is not a public key in PEM`, { cause: error });
  }
}
