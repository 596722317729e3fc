import { InvalidParameter } from "../../lib/errors.ts";
import { atLeast, defineCommand, type Flags } from "../command.ts";
import { forEach } from "../each.ts";
import { restartPolicy } from "./create-body.ts";
import { createFlags } from "./create-flags.ts";

/** The limits, and the field of HostConfig that each sets. */
const fields = {
  "blkio-weight": "BlkioWeight",
  "cpu-period": "CpuPeriod",
  "cpu-quota": "CpuQuota",
  "cpu-rt-period": "CpuRealtimePeriod",
  "cpu-rt-runtime": "CpuRealtimeRuntime",
  "cpu-shares": "CpuShares",
  cpus: "NanoCpus",
  "cpuset-cpus": "CpusetCpus",
  "cpuset-mems": "CpusetMems",
  memory: "Memory",
  "memory-reservation": "MemoryReservation",
  "memory-swap": "MemorySwap",
  "pids-limit": "PidsLimit",
} as const;

const flags = {
  "blkio-weight": createFlags["blkio-weight"],
  "cpu-period": createFlags["cpu-period"],
  "cpu-quota": createFlags["cpu-quota"],
  "cpu-rt-period": createFlags["cpu-rt-period"],
  "cpu-rt-runtime": createFlags["cpu-rt-runtime"],
  "cpu-shares": createFlags["cpu-shares"],
  cpus: createFlags.cpus,
  "cpuset-cpus": createFlags["cpuset-cpus"],
  "cpuset-mems": createFlags["cpuset-mems"],
  memory: createFlags.memory,
  "memory-reservation": createFlags["memory-reservation"],
  "memory-swap": createFlags["memory-swap"],
  "pids-limit": createFlags["pids-limit"],
  restart: { kind: "string", help: "Restart policy: no, on-failure[:N], always, unless-stopped" },
} as const satisfies Flags;

export const command = defineCommand({
  name: "container update",
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Update configuration of one or more containers",
  aliases: ["container update", "update"],
  flags,
  arity: atLeast(1),
  examples: ["update --memory 512m --memory-swap 1g web", "update --restart unless-stopped web db"],
  async run(context, { flags: values, args, given }) {
    const names = Object.keys(fields) as (keyof typeof fields)[];
    const limits = names.filter((name) => given(name)).map((name) => [fields[name], values[name]] as const);
    if (limits.length === 0 && !given("restart"))
      throw new InvalidParameter("you must provide one or more flags when using this command");
    const body = {
      ...Object.fromEntries(limits),
      ...(values.restart === undefined ? {} : { RestartPolicy: restartPolicy(values.restart) }),
    };
    const warnings: string[] = [];
    try {
      await forEach(context, args, async (name) => {
        const path = `/containers/${encodeURIComponent(name)}/update`;
        const answer = await context.client.call<{ Warnings?: string[] | null }>("POST", path, { body });
        warnings.push(...(answer.Warnings ?? []));
        return name;
      });
    } finally {
      for (const warning of warnings) context.err(`WARNING: ${warning}\n`);
    }
    return 0;
  },
});
