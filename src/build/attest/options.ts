/** Attestations as clients ask for them: BuildKit's attributes `attest:provenance` and `attest:sbom`. */
import { InvalidParameter, NotImplemented } from "../../lib/errors.ts";
import { parseFlag } from "../export/parse.ts";
import type { AttestationOptions } from "./types.ts";

/**
 * @param asked each kind with its attributes: `mode=max,version=v1`
 * @throws InvalidParameter, NotImplemented
 */
export function parseAttestations(asked: Readonly<Record<string, string>>): AttestationOptions {
  const options: AttestationOptions = {};
  for (const [kind, text] of Object.entries(asked)) {
    const attributes = attributesOf(text);
    if (parseFlag("disabled", attributes.disabled, false)) continue;
    if (kind === "provenance") options.provenance = provenanceOf(attributes);
    else if (kind === "sbom") {
      if (attributes.generator)
        throw new NotImplemented("an SBOM is made by the engine's own scanner: generator= is not supported");
      options.sbom = true;
    } else
      throw new InvalidParameter(
        `unknown attestation type ${JSON.stringify(kind)}: provenance and sbom are there`,
      );
  }
  return options;
}

function provenanceOf(attributes: Record<string, string>): AttestationOptions["provenance"] {
  const { mode = "min", version = "v0.2" } = attributes;
  if (mode !== "min" && mode !== "max")
    throw new InvalidParameter(`invalid provenance mode ${JSON.stringify(mode)}: min or max is wanted`);
  if (version !== "v0.2" && version !== "v1")
    throw new InvalidParameter(`invalid provenance version ${JSON.stringify(version)}: v0.2 or v1 is wanted`);
  const inlineOnly = parseFlag("inline-only", attributes["inline-only"], false);
  return { mode, version, builderId: attributes["builder-id"] ?? "", inlineOnly };
}

/** `a=b,c`; an empty text and `true` have none. */
function attributesOf(text: string): Record<string, string> {
  if (text === "" || text === "true") return {};
  if (text === "false") return { disabled: "true" };
  return Object.fromEntries(
    text.split(",").map((part) => {
      const at = part.indexOf("=");
      return at < 0 ? [part, "true"] : [part.slice(0, at), part.slice(at + 1)];
    }),
  );
}
