/** Which Linux capabilities a container gets: Docker's default set, `--cap-add`, `--cap-drop`, `--privileged`. */
import { InvalidParameter } from "../lib/errors.ts";
import { capabilityNames, heldCapabilities } from "../linux/process.ts";

/** What every container has unless it says otherwise. */
export const defaultCapabilities: readonly string[] = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FSETID",
  "CAP_FOWNER",
  "CAP_MKNOD",
  "CAP_NET_RAW",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETFCAP",
  "CAP_SETPCAP",
  "CAP_NET_BIND_SERVICE",
  "CAP_SYS_CHROOT",
  "CAP_KILL",
  "CAP_AUDIT_WRITE",
];

export interface CapabilityRequest {
  /** Names with or without `CAP_`, in any case, or `ALL`. */
  add: string[];
  drop: string[];
  privileged: boolean;
}

/**
 * The container's capabilities, with `CAP_`. Of the sets meant as "the default" and "all", those that this
 * process doesn't hold are left out silently; one that is added by name must be there.
 * @param held what this process can hand on; by default what the kernel says
 * @throws InvalidParameter for a name that is no capability, or an added one that this host can't give
 */
export function containerCapabilities(request: CapabilityRequest, held = heldCapabilities()): string[] {
  const inOrder = (wanted: (name: string) => boolean) => capabilityNames.filter(wanted);
  if (request.privileged) return inOrder((name) => held.has(name));
  const add = normalize(request.add, "CapAdd");
  const drop = normalize(request.drop, "CapDrop");
  for (const name of add) {
    if (name !== "ALL" && !held.has(name)) {
      throw new InvalidParameter(
        `invalid CapAdd: capability not supported by your kernel or not available in the current environment: "${name}"`,
      );
    }
  }
  if (add.has("ALL")) return inOrder((name) => held.has(name) && !drop.has(name));
  if (drop.has("ALL")) return inOrder((name) => add.has(name));
  // A name in both lists stays, as Docker has it.
  const base = new Set(defaultCapabilities.filter((name) => held.has(name) && !drop.has(name)));
  return inOrder((name) => base.has(name) || add.has(name));
}

/** Upper case with `CAP_`, or `ALL`. */
function normalize(names: string[], field: string): Set<string> {
  const known: ReadonlySet<string> = new Set(capabilityNames);
  return new Set(
    names.map((given) => {
      const upper = given.toUpperCase();
      if (upper === "ALL") return upper;
      const name = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
      if (!known.has(name)) throw new InvalidParameter(`invalid ${field}: unknown capability: "${name}"`);
      return name;
    }),
  );
}
