/** Processes in containers: the public face of this folder. The contract is in types.ts. */
import { mkdirSync } from "node:fs";
import { basename } from "node:path";
import { messageOf, Unavailable } from "../lib/errors.ts";
import { readCgroupLayout } from "../linux/cgroup.ts";
import { adoptStrayControllers, strayControllers } from "../linux/cgroup-hybrid.ts";
import { OciRuntime } from "./driver.ts";
import { installMonitor } from "./monitor-binary.ts";
import { Runtimes } from "./runtimes.ts";
import type { OpenRuntime } from "./types.ts";

export { type CapabilityRequest, containerCapabilities, defaultCapabilities } from "./capabilities.ts";
export { cdiDevices, cdiDirectories, injectCdiDevices } from "./cdi.ts";
export { deviceAt, hostDevices } from "./devices.ts";
export { StartFailure } from "./failures.ts";
export { relay, relayCommand, type TlsReceiver, tryTls } from "./log-relay.ts";
export { defaultSeccompProfile } from "./seccomp-default.ts";
export { defaultMaskedPaths, defaultReadonlyPaths } from "./spec.ts";
export { resolveUser } from "./users.ts";

/** @throws Unavailable when there is no usable OCI runtime, or nothing can be executed from the root */
export const openRuntime: OpenRuntime = async ({ binary, root, monitorDirectory = root }) => {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const monitor = installMonitor(monitorDirectory);
  let cgroup = readCgroupLayout();
  if (strayControllers(cgroup).length > 0) {
    adoptStrayControllers(cgroup);
    cgroup = readCgroupLayout();
  }
  // crun 1.8 refuses the hybrid layout while anything is left on cgroup2; runc doesn't mind.
  const candidates = binary
    ? [binary]
    : strayControllers(cgroup).length > 0
      ? ["runc", "crun"]
      : ["crun", "runc"];
  const found = candidates.map((name) => Bun.which(name)).find((path) => path !== null);
  if (!found) throw new Unavailable(`no OCI runtime found: neither of ${candidates.join(", ")} is installed`);
  const common = { root, cgroup, monitor };
  const name = basename(found);
  const others = ["crun", "runc"].filter((other) => other === name || Bun.which(other) !== null);
  const standard = new OciRuntime({ ...common, name, binary: found, version: await versionOf(found) });
  return new Runtimes(
    standard,
    Object.fromEntries([...others, name].map((other) => [other, { path: other }])),
    async (called, { path, runtimeArgs }) => {
      const program = Bun.which(path);
      if (!program) throw new Unavailable(`the runtime ${called} can't be executed: ${path}`);
      return new OciRuntime({
        ...common,
        name: called,
        binary: program,
        args: runtimeArgs,
        foreign: !others.includes(called),
        version: await versionOf(program),
      });
    },
  );
};

/** First line of `--version`, e.g. `crun version 1.8.1`. */
async function versionOf(binary: string): Promise<string> {
  try {
    const child = Bun.spawn([binary, "--version"], { stdin: "ignore", stderr: "ignore" });
    return (await child.stdout.text()).split("\n", 1)[0]!;
  } catch (cause) {
    throw new Unavailable(`cannot run the OCI runtime ${binary}: ${messageOf(cause)}`, { cause });
  }
}
