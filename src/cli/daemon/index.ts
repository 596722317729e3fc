/** `gantry daemon`: the engine behind its API, until a signal ends it. Containers go on without it. */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { serveApi } from "../../api/server/index.ts";
import { openEngine } from "../../engine/index.ts";
import type { Engine, EngineOptions } from "../../engine/types.ts";
import { Conflict, GantryError, messageOf } from "../../lib/errors.ts";
import { takeProxies } from "../../lib/outgoing.ts";
import { flagsHelp } from "../args/help.ts";
import { HelpRequested, parseFlags, UsageError } from "../args/parse.ts";
import { stdoutFd, writeAll } from "../terminal.ts";
import { type DaemonConfig, type DaemonFlags, readConfig } from "./config.ts";
import { daemonFlags } from "./flags.ts";
import { foreignFlags } from "./foreign.ts";

const usage = () => `Usage:  gantry daemon [OPTIONS]

Run the engine

Options:
${flagsHelp(daemonFlags)}

Examples:
  gantry daemon
  gantry daemon -H unix:///run/gantry/gantry.sock -H tcp://0.0.0.0:2376 --tlsverify \\
    --tlscacert ca.pem --tlscert server.pem --tlskey server-key.pem
`;

/**
 * Runs until SIGINT or SIGTERM; running containers stay.
 * @param args behind `gantry daemon`
 * @returns the exit status
 */
export async function daemonCommand(args: string[]): Promise<number> {
  try {
    const parsed = parseFlags({ ...daemonFlags, ...foreignFlags }, args) as DaemonFlags;
    if (parsed.args.length > 0) throw new UsageError(`"gantry daemon" accepts no arguments.`);
    const config = readConfig(parsed);
    if (parsed.flags.validate) {
      console.log("configuration OK");
      return 0;
    }
    for (const warning of config.warnings) console.error(`warning: ${warning}`);
    await run(config, () => readConfig(parsed).engine);
    return 0;
  } catch (error) {
    if (error instanceof HelpRequested) {
      writeAll(stdoutFd, usage());
      return 0;
    }
    if (!(error instanceof UsageError) && !(error instanceof GantryError)) throw error;
    console.error(`gantry daemon: ${messageOf(error)}`);
    if (error instanceof UsageError) console.error("\nSee 'gantry daemon --help'.");
    return error instanceof UsageError ? 125 : 1;
  }
}

/** @param reread what flags and file say when they're asked again */
async function run(
  { engine: options, listeners, pidfile, proxies }: DaemonConfig,
  reread: () => EngineOptions,
): Promise<void> {
  using _pidfile = takePidfile(pidfile);
  takeProxies(proxies, process.env);
  // Asked for before anything is opened: an early signal must not cut the opening short.
  const stopped = stopSignal();
  process.on("unhandledRejection", (reason) => console.error("unhandled rejection:", reason));
  await using engine = await openEngine(options);
  const server = await serveApi(engine, listeners);
  for (const listener of listeners)
    console.error(
      `listening on ${listener.kind === "unix" ? listener.path : `${listener.host}:${listener.port}${listener.tls ? "" : " WITHOUT TLS"}`}`,
    );
  let reloaded = Promise.resolve();
  const onHangUp = () => {
    reloaded = reloaded.then(() => reload(engine, reread));
  };
  process.on("SIGHUP", onHangUp);
  await stopped;
  process.off("SIGHUP", onHangUp);
  await server.close();
}

/** SIGHUP, as with dockerd: a configuration that is wrong is told, and the old one stays. */
async function reload(engine: Engine, reread: () => EngineOptions): Promise<void> {
  try {
    const { labels, debug, registryMirrors, insecureRegistries, runtime, runtimes } = reread();
    await engine.reload({ labels, debug, registryMirrors, insecureRegistries, runtime, runtimes });
    console.error("configuration reloaded");
  } catch (error) {
    console.error(`cannot reload the configuration: ${messageOf(error)}`);
  }
}

/** @throws Conflict when the process that wrote the file is alive */
function takePidfile(path: string): Disposable {
  const other = pidIn(path);
  if (other !== undefined && isDaemon(other))
    throw new Conflict(`process ${other} is running on ${path} already`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${process.pid}\n`);
  return {
    [Symbol.dispose]() {
      if (pidIn(path) === process.pid) rmSync(path, { force: true });
    },
  };
}

function pidIn(path: string): number | undefined {
  try {
    return Number(readFileSync(path, "utf8").trim()) || undefined;
  } catch {
    return undefined;
  }
}

/** After a crash the number may be another program's. */
function isDaemon(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes("daemon");
  } catch {
    return false;
  }
}

/** The second signal ends the process at once. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ["SIGINT", "SIGTERM"])
      process.on(signal, () => {
        if (asked) process.exit(1);
        asked = true;
        resolve();
      });
  });
}
