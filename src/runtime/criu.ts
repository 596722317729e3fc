/** CRIU, by which OCI runtimes save processes and restore them: a program of its own, that not every kernel suits. */
import { existsSync, readFileSync } from "node:fs";
import { NotImplemented } from "../lib/errors.ts";

let found: Promise<void> | undefined;

/** @throws NotImplemented that says what is missing; what works once is not asked for again */
export function needCriu(): Promise<void> {
  found ??= check();
  found.catch(() => {
    found = undefined;
  });
  return found;
}

async function check(): Promise<void> {
  const program = Bun.which("criu");
  if (!program) throw new NotImplemented("checkpoints need CRIU, and no criu is on the daemon's PATH");
  const child = Bun.spawn([program, "check"], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [said, complained, code] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  if (code === 0) return;
  const why = firstError(said + complained) ?? `criu check ended with ${code}`;
  throw new NotImplemented(`checkpoints need CRIU, and this machine's does not work on its kernel: ${why}`);
}

/** Of crun, which has it inside or not. */
export const isBuiltWithCriu = async (crun: string): Promise<boolean> =>
  (await Bun.spawn([crun, "--version"], { stdin: "ignore", stderr: "ignore" }).stdout.text()).includes(
    "+CRIU",
  );

/** What a log of CRIU's complains of first; undefined: nothing, or there is no log. */
export function criuComplaint(log: string): string | undefined {
  return existsSync(log) ? firstError(readFileSync(log, "utf8")) : undefined;
}

/** `(00.008) Error (criu/cr-dump.c:1): words`. */
const firstError = (text: string): string | undefined =>
  /^.*\bError \([^)]*\): *(.*)$/m.exec(text)?.[1]?.trim();
