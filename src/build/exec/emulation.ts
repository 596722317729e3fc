/** Whether programs of another architecture run here. */
import { readFileSync } from "node:fs";
import type { Platform } from "../../lib/oci.ts";
import { own } from "../../lib/own.ts";
import { formatPlatform, hostPlatform } from "../graph/scope.ts";

/** Where the kernel tells of interpreters (binfmt_misc). */
const registered = "/proc/sys/fs/binfmt_misc";
/** QEMU's names, where they are not Go's. */
const emulated: Record<string, string> = {
  amd64: "x86_64",
  "386": "i386",
  arm64: "aarch64",
  loong64: "loongarch64",
};

/** Architectures that a processor runs besides its own. */
const compatible: Record<string, string[]> = { amd64: ["386"] };

/** Why steps of this platform can't run; undefined: they can. */
export function cannotRun(platform: Platform): string | undefined {
  const host = hostPlatform();
  const { os, architecture } = platform;
  if (os !== host.os) return `steps for ${formatPlatform(platform)} do not run on ${host.os}`;
  if (architecture === host.architecture || own(compatible, host.architecture)?.includes(architecture))
    return undefined;
  const name = `qemu-${own(emulated, architecture) ?? architecture}`;
  let entry = "";
  try {
    entry = readFileSync(`${registered}/${name}`, "utf8");
  } catch {}
  // Flag F: the kernel holds the interpreter open, so that it need not be in the image.
  if (/^enabled$/m.test(entry) && /^flags: \w*F/m.test(entry)) return undefined;
  return `${formatPlatform(platform)} does not run on this machine (${formatPlatform(host)}): install an emulator that binfmt_misc registers as ${name} with flag F (Debian: qemu-user-static and binfmt-support), or do the step in a stage FROM --platform=$BUILDPLATFORM`;
}

/** The host's platform first, and the usual ones that run here besides. */
export function runnablePlatforms(): Platform[] {
  const host = hostPlatform();
  const others = ["amd64", "386", "arm64", "arm", "riscv64", "ppc64le", "s390x", "loong64"]
    .filter((architecture) => architecture !== host.architecture)
    .map((architecture) => ({ os: "linux", architecture }));
  return [host, ...others.filter((platform) => cannotRun(platform) === undefined)];
}
