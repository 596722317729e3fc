/** Exec endpoints (Engine API, tag "Exec"). */
import * as v from "valibot";
import { Conflict } from "../../lib/errors.ts";
import { splice, streamType } from "./container-streams.ts";
import { terminalSize } from "./containers.ts";
import { commandLine, field, flag, natural, strings, text } from "./fields.ts";
import type { Route } from "./router.ts";

const consoleSize = field(v.tuple([natural, natural]), undefined);

const createSchema = v.object({
  AttachStdin: flag(),
  AttachStdout: flag(),
  AttachStderr: flag(),
  Tty: flag(),
  DetachKeys: field(v.string(), undefined),
  Env: field(strings, [] as string[]),
  Cmd: field(commandLine, [] as string[]),
  Privileged: flag(),
  User: text(),
  WorkingDir: text(),
  ConsoleSize: consoleSize,
});

const startSchema = v.object({ Detach: flag(), Tty: flag(), ConsoleSize: consoleSize });

export const execRoutes: Route[] = [
  {
    method: "POST",
    path: "/containers/{id}/exec",
    async handle(x) {
      const body = await x.body(createSchema, "exec create");
      const id = await x.engine.execs.create(x.params.id!, {
        attachStdin: body.AttachStdin,
        attachStdout: body.AttachStdout,
        attachStderr: body.AttachStderr,
        tty: body.Tty,
        detachKeys: body.DetachKeys,
        env: body.Env,
        cmd: body.Cmd,
        privileged: body.Privileged,
        user: body.User,
        workingDir: body.WorkingDir,
        consoleSize: body.ConsoleSize,
      });
      x.json({ Id: id }, 201);
    },
  },
  {
    method: "POST",
    path: "/exec/{id}/start",
    async handle(x) {
      const body = await x.body(startSchema, "exec start");
      const { config } = x.engine.execs.get(x.params.id!);
      const stdio = await x.engine.execs.start(x.params.id!, {
        detach: body.Detach,
        tty: body.Tty,
        consoleSize: body.ConsoleSize,
      });
      if (body.Detach) return x.empty(200);
      if (!stdio) throw new Conflict(`exec ${x.params.id} has no streams to attach to`);
      splice(x.hijack(streamType(config.tty, x.version)), stdio);
    },
  },
  {
    method: "POST",
    path: "/exec/{id}/resize",
    async handle(x) {
      await x.engine.execs.resize(x.params.id!, terminalSize(x));
      x.empty(200);
    },
  },
  {
    method: "GET",
    path: "/exec/{id}/json",
    handle(x) {
      const record = x.engine.execs.get(x.params.id!);
      const { config } = record;
      const [entrypoint = "", ...args] = config.cmd;
      x.json({
        ID: record.id,
        Running: record.running,
        ExitCode: record.exitCode,
        ProcessConfig: {
          tty: config.tty,
          entrypoint,
          arguments: args,
          privileged: config.privileged,
          user: config.user,
        },
        OpenStdin: config.attachStdin,
        OpenStderr: config.attachStderr,
        OpenStdout: config.attachStdout,
        CanRemove: false,
        ContainerID: record.containerId,
        DetachKeys: config.detachKeys ?? "",
        Pid: record.pid,
      });
    },
  },
];
