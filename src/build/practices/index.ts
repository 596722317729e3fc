/**
 * Best practices of Dockerfiles: rules like the build checks, about what makes an image small, safe and quick to build.
 * Sources: Docker's "Building best practices" and the cache's rules (docs/dockerfile.md).
 */
import { type CheckSettings, checkFile, checkStages, inOrder, type Rule, rules } from "../checks/index.ts";
import type { CheckWarning, StageSubject } from "../checks/types.ts";
import type { ParsedDockerfile } from "../dockerfile/parse.ts";
import * as bases from "./bases.ts";
import * as files from "./files.ts";
import * as image from "./image.ts";
import { withMends } from "./mending.ts";
import * as packages from "./packages.ts";
import { writtenSecret } from "./secrets.ts";
import { withoutSkipped } from "./skips.ts";

export const practices: readonly Rule[] = [
  bases.pinnedBase,
  bases.smallBase,
  bases.officialBase,
  image.severalStages,
  image.ordinaryUser,
  image.health,
  image.fewLayers,
  writtenSecret,
  files.ignoreFile,
  files.installOrder,
  files.addForCopy,
  files.uncheckedDownload,
  files.changeDirectory,
  packages.aptLists,
  packages.aptUpdateAlone,
  packages.aptInteractive,
  packages.aptRecommends,
  packages.apkCache,
  packages.pipCache,
  packages.sudo,
];

/** What build checks and practices find, with edits for what can be mended safely. */
export function lint(
  dockerfile: ParsedDockerfile,
  subject: StageSubject | undefined,
  settings: CheckSettings,
): CheckWarning[] {
  const all = [...rules, ...practices];
  const found = [
    ...checkFile(dockerfile, settings, all),
    ...(subject ? checkStages(subject, settings, all) : []),
  ];
  return inOrder(withMends(dockerfile, withoutSkipped(dockerfile, found)));
}
