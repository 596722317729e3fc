import { constants } from "node:os";
import { defineCommand, exactly } from "../command.ts";
import { bytesSize, humanDuration } from "../format/units.ts";

/** The answer to `GET /containers/{id}/why`. */
interface Ending {
  Name: string;
  Status: string;
  ExitCode: number;
  Error: string;
  OOMKilled: boolean;
  /** Peaks in bytes; 0: not known. */
  OOM?: { Kills: number; MemoryPeak: number; SwapPeak: number } | null;
  MemoryLimit: number;
  StartedAt: string;
  FinishedAt: string;
  Asked: { What: "stop" | "restart" | "kill"; Signal: number; By: string; At: string } | null;
  RestartPolicy: { Name: string; MaximumRetryCount: number };
  RestartCount: number;
  Health: { Status: string; Output: string } | null;
  LastLines: string[];
}

export const command = defineCommand({
  name: "container why",
  usage: "[OPTIONS] CONTAINER",
  summary: "Tell why a container has ended",
  aliases: ["container why", "why"],
  flags: { json: { kind: "bool", help: "Print what is known as JSON" } },
  arity: exactly(1),
  examples: ["why web", "why --json web"],
  async run(context, { flags, args: [name = ""] }) {
    const ending = await context.client.call<Ending>("GET", `/containers/${encodeURIComponent(name)}/why`);
    if (flags.json) context.line(JSON.stringify(ending));
    else context.out(`${story(ending, Date.now()).join("\n")}\n`);
    return 0;
  },
});

/** What happened, what it means, and what was last heard; a line each. */
export function story(ending: Ending, now: number): string[] {
  return [
    what(ending, now),
    ...[cause(ending), restarts(ending), health(ending)].filter((line) => line !== ""),
    ...(ending.LastLines.length > 0
      ? ["Its last output:", ...ending.LastLines.map((line) => `  ${line}`)]
      : []),
  ];
}

function what({ Name, Status, StartedAt, FinishedAt, ExitCode }: Ending, now: number): string {
  const since = (time: string) => humanDuration(now - Date.parse(time));
  if (Status === "created") return `${Name} has never run.`;
  if (Status === "running" || Status === "paused") return `${Name} is ${Status}, since ${since(StartedAt)}.`;
  const ran = humanDuration(Date.parse(FinishedAt) - Date.parse(StartedAt)).toLowerCase();
  return `${Name} ended ${since(FinishedAt)} ago with exit code ${ExitCode}, after ${ran}.`;
}

function cause(ending: Ending): string {
  const { Status, ExitCode, Error: error, OOMKilled, Asked } = ending;
  if (error !== "") return `It could not be started: ${error}`;
  if (Status === "created" || Status === "running" || Status === "paused") return "";
  if (OOMKilled) return outOfMemory(ending);
  const signal = ExitCode > 128 ? signalName(ExitCode - 128) : undefined;
  if (Asked) {
    const by = Asked.By === "" ? "A client without a name" : Asked.By;
    const sent = signalName(Asked.Signal) ?? `signal ${Asked.Signal}`;
    const late = Asked.What !== "kill" && ExitCode === 137 && sent !== "SIGKILL";
    return `${by} asked to ${Asked.What} it, with ${sent}${late ? "; it did not end in time and got SIGKILL" : ""}.`;
  }
  if (signal !== undefined)
    return `Nobody asked for that here: a signal ended it (${signal}), or its program says so with this code.`;
  return ExitCode === 0 ? "Its program was done." : "Its program failed on its own.";
}

/** Who was killed, at which limit, and how far it had come. */
function outOfMemory({ ExitCode, OOM, MemoryLimit }: Ending): string {
  const kills = OOM?.Kills ?? 1;
  const whom = ExitCode === 137 ? "it" : kills === 1 ? "a process of it" : `${kills} processes of it`;
  const why =
    MemoryLimit > 0
      ? `more memory was wanted than its limit of ${bytesSize(MemoryLimit)} (--memory)`
      : "the machine had no memory left, and it has no limit of its own";
  if (!OOM?.MemoryPeak) return `The kernel killed ${whom}: ${why}.`;
  const swap = OOM.SwapPeak > 0 ? ` and ${bytesSize(OOM.SwapPeak)} of swap` : ", and no swap";
  return `The kernel killed ${whom}: ${why}. It had ${bytesSize(OOM.MemoryPeak)} at most${swap}.`;
}

function restarts({ Status, RestartPolicy, RestartCount }: Ending): string {
  if (Status === "restarting")
    return `It will start again (--restart ${RestartPolicy.Name}), restart ${RestartCount + 1}.`;
  return RestartCount > 0
    ? `It has been started again ${RestartCount} times (--restart ${RestartPolicy.Name}).`
    : "";
}

function health({ Health }: Ending): string {
  if (Health?.Status !== "unhealthy") return "";
  return `Its health check was failing: ${Health.Output.trim() || "it said nothing"}`;
}

function signalName(number: number): string | undefined {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0];
}
