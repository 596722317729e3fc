/** One command line by Docker's client and by ours, against one engine. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { executable, type Result, run, type TestDaemon } from "./daemon.ts";

/** Words of a line as a shell splits them; quotes keep spaces, and the other kind of quote. */
export const words = (line: string) =>
  [...line.matchAll(/(?:[^\s'"]|'[^']*'|"[^"]*")+/g)].map(([word]) =>
    word.replace(/'([^']*)'|"([^"]*)"/g, (_, single?: string, double?: string) => single ?? double ?? ""),
  );

export interface Both {
  docker: Result;
  gantry: Result;
}

export class BothClients {
  constructor(private readonly daemon: TestDaemon) {
    mkdirSync(join(daemon.root, "docker-config"), { recursive: true });
  }

  /** @param line `ME` in it stands for a name that each client has for itself */
  async both(line: string): Promise<Both> {
    const { host, root } = this.daemon;
    const as = (program: string[], me: string) =>
      run([...program, "-H", host, ...words(line.replaceAll("ME", me))], {
        env: { DOCKER_CONFIG: join(root, "docker-config"), DOCKER_CLI_HINTS: "false" },
        cwd: root,
      });
    const [docker, gantry] = await Promise.all([as(["docker"], "mine-d"), as([executable], "mine-g")]);
    return { docker: plain(docker), gantry: plain(gantry) };
  }

  /** Times pass between the two: what is shown of them agrees when both ask within the same second. */
  async agreed(line: string): Promise<Both> {
    for (let tries = 0; ; tries++) {
      const result = await this.both(line);
      if (tries === 20 || JSON.stringify(result.docker) === JSON.stringify(result.gantry)) return result;
    }
  }
}

/** Without what differs rightly: ids of things made, and who speaks. */
function plain({ code, stdout, stderr }: Result): Result {
  const same = (text: string) =>
    text
      .replace(/\b[0-9a-f]{64}\b/g, "<id>")
      .replaceAll("mine-d", "mine-x")
      .replaceAll("mine-g", "mine-x")
      .replaceAll("gantry", "docker")
      .replaceAll("Gantry daemon", "Docker daemon");
  return { code, stdout: same(stdout), stderr: same(stderr) };
}
