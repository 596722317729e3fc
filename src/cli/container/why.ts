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

function cause({ Status, ExitCode, Error: error, OOMKilled, MemoryLimit, Asked }: Ending): string {
  if (error !== "") return `It could not be started: ${error}`;
  if (Status === "created" || Status === "running" || Status === "paused") return "";
  if (OOMKilled)
    return `The kernel killed it: it wanted more memory than its limit of ${bytesSize(MemoryLimit)} (--memory).`;
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
