/** What images begin from. */
import { InvalidParameter } from "../../lib/errors.ts";
import { normalize, parseReference, type Reference } from "../../lib/reference.ts";
import { ancestry } from "../checks/stages.ts";
import type { Stage } from "../graph/stages.ts";
import { stagePractice, targetPractice } from "./practice.ts";

function imageOf({ base }: Stage): { written: string; reference: Reference } | undefined {
  if (typeof base !== "object" || !("image" in base)) return undefined;
  try {
    return { written: base.image, reference: parseReference(base.image) };
  } catch (error) {
    // The build tells of it.
    if (error instanceof InvalidParameter) return undefined;
    throw error;
  }
}

export const pinnedBase = stagePractice(
  {
    name: "BaseImageUnpinned",
    severity: "warning",
    description: "Base images should have a version: another day the same line is another image",
    advice: "name a version (FROM debian:12), or the digest of one image (FROM debian:12@sha256:...)",
  },
  function* (stage) {
    const image = imageOf(stage);
    if (!image || image.reference.digest !== undefined) return;
    const { tag } = image.reference;
    if (tag !== undefined && tag !== "latest") return;
    const what = tag === undefined ? "has no tag" : 'is tagged "latest"';
    yield { range: stage.from.range, detail: `Base image ${image.written} ${what}` };
  },
);

/** Official images with a variant that has less in it. */
const smaller: Record<string, string> = {
  debian: "-slim",
  golang: "-alpine",
  node: "-slim or -alpine",
  php: "-alpine",
  postgres: "-alpine",
  python: "-slim or -alpine",
  ruby: "-slim or -alpine",
  rust: "-slim or -alpine",
};
const isSmall = (tag: string) => /slim|alpine|distroless|-apache|-fpm/.test(tag);

export const smallBase = targetPractice(
  {
    name: "BaseImageLarge",
    severity: "info",
    description: "The image that runs should have in it what it needs to run",
    advice: "begin the last stage from the small variant of the image",
  },
  function* (target, { graph }) {
    const stage = ancestry(target, graph).at(-1)!;
    const image = imageOf(stage);
    if (!image) return;
    const { domain, path } = normalize(image.reference);
    const name = path.replace(/^library\//, "");
    const variant = domain === "docker.io" && Object.hasOwn(smaller, name) ? smaller[name] : undefined;
    if (variant === undefined || isSmall(image.reference.tag ?? "")) return;
    yield { range: stage.from.range, detail: `${image.written} has a smaller variant: ${variant}` };
  },
);

export const officialBase = stagePractice(
  {
    name: "BaseImageUnofficial",
    severity: "info",
    description: "Images of people on Docker Hub are looked after by nobody else",
    advice: "begin from an official image, or from one of a registry that you trust",
  },
  function* (stage) {
    const image = imageOf(stage);
    if (!image) return;
    const { domain, path } = normalize(image.reference);
    if (domain !== "docker.io" || path.startsWith("library/")) return;
    yield { range: stage.from.range, detail: `${image.written} is not an official image` };
  },
);
