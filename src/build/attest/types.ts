/** What is stated about images besides what is in them (in-toto, as BuildKit's attestation-storage.md keeps it). */
import type { Platform } from "../../lib/oci.ts";
import type { BaseImage } from "../types.ts";

export interface AttestationOptions {
  provenance?: {
    /** `max`: with arguments, labels, names of secrets, and the Dockerfile. */
    mode: "min" | "max";
    version: "v0.2" | "v1";
    builderId: string;
    /** Only where it leaves this machine with the image: clients ask for it by themselves. */
    inlineOnly: boolean;
  };
  sbom?: boolean;
}

/** What a build was made from, for its provenance. */
export interface BuildOrigin {
  platform: Platform;
  /** undefined: it is none, but low-level definitions. */
  dockerfile?: { name: string; text: string };
  bases: { reference: string; image: BaseImage }[];
  /** Their names; a secret's value is known to its step alone. */
  secrets: { id: string; optional: boolean }[];
  ssh: { id: string; optional: boolean }[];
}

export interface Predicate {
  type: string;
  body: object;
}

/** A package that was found in an image's files. */
export interface FoundPackage {
  name: string;
  version: string;
  /** https://github.com/package-url/purl-spec */
  purl: string;
  /** As the package says it. */
  license?: string;
}
