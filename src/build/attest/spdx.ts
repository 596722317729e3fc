/** A list of packages as an SPDX 2.3 document (https://spdx.github.io/spdx-spec/v2.3). */
import type { FoundPackage, Predicate } from "./types.ts";

const unsaid = "NOASSERTION";

/**
 * @param subject names the image uniquely: its manifest's digest
 * @param created ISO 8601
 */
export function spdx(packages: readonly FoundPackage[], subject: string, created: string): Predicate {
  const elements = packages.map(({ name, version, purl, license }, i) => ({
    SPDXID: `SPDXRef-Package-${i}`,
    name,
    versionInfo: version,
    downloadLocation: unsaid,
    filesAnalyzed: false,
    licenseConcluded: unsaid,
    // What a package says of itself need not be an SPDX expression.
    licenseDeclared:
      license && /^[A-Za-z0-9.+-]+( (?:AND|OR|WITH) [A-Za-z0-9.+-]+)*$/.test(license) ? license : unsaid,
    copyrightText: unsaid,
    externalRefs: [{ referenceCategory: "PACKAGE-MANAGER", referenceType: "purl", referenceLocator: purl }],
  }));
  return {
    type: "https://spdx.dev/Document",
    body: {
      spdxVersion: "SPDX-2.3",
      dataLicense: "CC0-1.0",
      SPDXID: "SPDXRef-DOCUMENT",
      name: subject,
      documentNamespace: `urn:gantry:sbom:${subject}`,
      creationInfo: { created: created.replace(/\.\d+Z$/, "Z"), creators: ["Tool: gantry"] },
      packages: elements,
      relationships: elements.map(({ SPDXID }) => ({
        spdxElementId: "SPDXRef-DOCUMENT",
        relationshipType: "DESCRIBES",
        relatedSpdxElement: SPDXID,
      })),
    },
  };
}
