/** Platforms of images: their text, and which of several suits best (containerd's `platforms` rules). */
import type { Platform } from "./oci.ts";
import { own } from "./own.ts";

const architectures: Record<string, string> = {
  x86_64: "amd64",
  "x86-64": "amd64",
  aarch64: "arm64",
  armhf: "arm",
  armel: "arm",
  i386: "386",
};
/** The variant that is meant when none is named. */
const plainVariants: Record<string, string> = { amd64: "v1", arm64: "v8", arm: "v7" };

/** What images are chosen for when nobody says otherwise. */
export const hostPlatform: Platform = {
  os: "linux",
  architecture: process.arch === "x64" ? "amd64" : process.arch,
};

/** `linux/arm64`, `linux/arm/v6`; a variant that goes without saying is left out, save for arm. */
export function formatPlatform(platform: Platform): string {
  const { os, architecture, variant } = normalized(platform);
  const plain = architecture !== "arm" && variant === plainVariants[architecture];
  return [os, architecture, plain ? "" : variant].filter(Boolean).join("/");
}

/**
 * How well an image for `have` runs where `want` is asked for: the smaller the better, undefined when it does not.
 * Without a wanted variant any will do and the usual one is best; 32-bit ARM runs older variants too.
 */
export function platformDistance(have: Platform, want: Platform): number | undefined {
  const [own, wanted] = [normalized(have), normalized(want)];
  if (own.os !== wanted.os || own.architecture !== wanted.architecture) return undefined;
  if (own.variant === wanted.variant) return 0;
  const difference = versionOf(wanted.variant) - versionOf(own.variant);
  if (!want.variant) return 1 + Math.abs(difference);
  return own.architecture === "arm" && difference > 0 ? difference : undefined;
}

/** The item whose platform suits `want` best; of equals the first. */
export function bestMatch<T>(
  items: Iterable<T>,
  platformOf: (item: T) => Platform | undefined,
  want: Platform,
): T | undefined {
  let best: { item: T; distance: number } | undefined;
  for (const item of items) {
    const platform = platformOf(item);
    const distance = platform && platformDistance(platform, want);
    if (distance !== undefined && (!best || distance < best.distance)) best = { item, distance };
  }
  return best?.item;
}

function normalized({ os, architecture, variant }: Platform): Platform {
  const known = own(architectures, architecture.toLowerCase()) ?? architecture.toLowerCase();
  const version = variant?.toLowerCase().replace(/^(?=\d)/, "v");
  return { os: os.toLowerCase(), architecture: known, variant: version || own(plainVariants, known) };
}

const versionOf = (variant: string | undefined) => Number(/^v(\d+)/.exec(variant ?? "")?.[1] ?? 0);
