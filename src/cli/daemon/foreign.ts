/**
 * dockerd's settings that Gantry has no use for. What asks for nothing that changes how containers behave is taken with
 * a warning, so that an existing daemon.json works; the rest is refused, as it would promise what isn't so.
 */
import { InvalidParameter } from "../../lib/errors.ts";
import type { Flag, Flags } from "../command.ts";

type Setting = Flag & {
  /** The key in daemon.json, when it isn't the flag's name; `false`: there is none. */
  key?: string | false;
  /** Values that ask for what is so anyhow. */
  fine?: readonly unknown[];
  /** Why everything else is refused; without it, it is ignored. */
  refused?: string;
};

const ignored = (kind: Flag["kind"], more: Partial<Setting> = {}): Setting => ({
  kind,
  help: "Ignored",
  hidden: true,
  ...more,
});
const refused = (kind: Flag["kind"], why: string, fine: readonly unknown[], more: Partial<Setting> = {}) =>
  ignored(kind, { refused: why, fine, ...more });

const rules = "networks and published ports are made of nftables' rules";
const noSwarm = { fine: ["", 0] };

const settings: Record<string, Setting> = {
  "allow-direct-routing": refused("bool", "published ports are reached by the host's address", [false]),
  "allow-nondistributable-artifacts": ignored("list"),
  "api-cors-header": refused("string", "the API serves no browsers", [""]),
  "authorization-plugin": refused("list", "there are no plugins; tokens restrict who may do what", [], {
    key: "authorization-plugins",
  }),
  "bridge-accept-fwmark": refused("string", rules, [""]),
  "cdi-spec-dir": refused("list", "devices are described in /etc/cdi and /var/run/cdi", [], {
    key: "cdi-spec-dirs",
  }),
  containerd: ignored("string"),
  "containerd-namespace": ignored("string"),
  "containerd-plugins-namespace": ignored("string", { key: "containerd-plugin-namespace" }),
  "cpu-rt-period": refused("int", "realtime scheduling is set for each container", [0]),
  "cpu-rt-runtime": refused("int", "realtime scheduling is set for each container", [0]),
  "cri-containerd": ignored("bool", { key: false }),
  "default-gateway": refused("string", "containers leave by their bridge's address", [""]),
  "default-gateway-v6": refused("string", "containers leave by their bridge's address", [""]),
  "exec-opt": refused(
    "list",
    "cgroups are made by the engine itself; the driver systemd needs systemd as process 1 and its D-Bus, which Gantry does not speak",
    ["native.cgroupdriver=cgroupfs"],
    {
      key: "exec-opts",
    },
  ),
  "firewall-backend": refused("string", rules, ["", "nftables"]),
  "init-path": ignored("string"),
  "ip-forward": refused("bool", "without forwarding no network reaches outside", [true]),
  "ip-forward-no-drop": ignored("bool"),
  iptables: refused("bool", rules, [true]),
  "live-restore": ignored("bool", { fine: [true] }),
  "log-format": ignored("string", { fine: ["", "text"] }),
  "log-level": ignored("string", { short: "l", fine: ["", "info"] }),
  "max-concurrent-downloads": ignored("int"),
  "max-concurrent-uploads": ignored("int"),
  "max-download-attempts": ignored("int"),
  "metrics-addr": refused("string", "the engine serves no metrics", [""]),
  "min-api-version": refused("string", "versions from 1.24 on are served", ["", "1.24"]),
  "network-control-plane-mtu": ignored("int", noSwarm),
  "node-generic-resource": ignored("list", { key: "node-generic-resources" }),
  "oom-score-adjust": ignored("int", { fine: [0] }),
  "raw-logs": ignored("bool", { fine: [false] }),
  rootless: refused("bool", "the engine wants root; --userns-remap takes it from containers", [false], {
    key: false,
  }),
  "selinux-enabled": refused("bool", "SELinux labels are not set", [false]),
  "shutdown-timeout": ignored("int"),
  "storage-driver": refused(
    "string",
    "images and containers are kept by overlayfs",
    ["", "overlay2", "overlayfs"],
    {
      short: "s",
    },
  ),
  "storage-opt": refused("list", "overlayfs needs no options here", ["overlay2.override_kernel_check=true"], {
    key: "storage-opts",
  }),
  "swarm-default-advertise-addr": ignored("string", noSwarm),
  "userland-proxy": ignored("bool", { fine: [true] }),
  "userland-proxy-path": ignored("string"),
};

/** Keys of daemon.json that no flag stands for. */
const keysOnly: Record<string, Setting> = {
  "cluster-advertise": ignored("string"),
  "cluster-store": ignored("string"),
  features: ignored("string"),
  graph: refused("string", "say data-root", []),
};

export const foreignFlags: Flags = settings;

const byKey = new Map<string, [name: string, Setting]>([
  ...Object.entries(settings).flatMap(([name, setting]) =>
    setting.key === false ? [] : [[setting.key ?? name, [name, setting]] as [string, [string, Setting]]],
  ),
  ...Object.entries(keysOnly).map(([key, setting]) => [key, [key, setting]] as [string, [string, Setting]]),
]);

/**
 * Takes such settings out of a configuration file, and looks at those and at the flags.
 * @param given flags that were given, by name
 * @returns the file's other settings, and a warning for each setting that is ignored
 * @throws InvalidParameter for one that can't be
 */
export function setForeignAside(
  file: Record<string, unknown>,
  given: Record<string, unknown>,
): { rest: Record<string, unknown>; warnings: string[] } {
  const warnings: string[] = [];
  const look = (shown: string, setting: Setting, value: unknown) => {
    const values = Array.isArray(value) ? value : [value];
    if (values.every((one) => setting.fine?.includes(one))) return;
    if (setting.refused !== undefined)
      throw new InvalidParameter(`${shown} ${JSON.stringify(value)} is not supported: ${setting.refused}`);
    warnings.push(`${shown} has no effect here`);
  };
  const rest: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(file)) {
    const found = byKey.get(key);
    if (found) look(key, found[1], value);
    else rest[key] = value;
  }
  for (const [name, value] of Object.entries(given)) {
    const setting = settings[name];
    if (setting) look(`--${name}`, setting, value);
  }
  return { rest, warnings };
}
