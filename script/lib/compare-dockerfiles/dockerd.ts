/** Debian's dockerd with roots of its own and no network: the installed one, or that of another system's root. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

export class Dockerd implements AsyncDisposable {
  readonly socket: string;
  readonly host: string;
  /** Debian's client of the same version: it speaks BuildKit's protocol without a plug-in. */
  readonly client = "/usr/bin/docker";

  private constructor(
    private readonly root: string,
    private readonly process: Bun.Subprocess,
  ) {
    this.socket = join(root, "docker.sock");
    this.host = `unix://${this.socket}`;
  }

  /** @param system the root of a Debian that has docker.io; undefined: this machine's */
  static async start(root: string, system?: string): Promise<Dockerd> {
    mkdirSync(root, { recursive: true });
    const log = Bun.file(join(root, "log"));
    const args = ["--data-root", join(root, "data"), "--exec-root", join(root, "x"), "-p", join(root, "pid")];
    const daemon = new Dockerd(
      root,
      Bun.spawn(
        [
          ...(system === undefined ? [] : inside(system, root)),
          ...["dockerd", ...args, "-H", `unix://${root}/docker.sock`, "--bridge=none", "--iptables=false"],
        ],
        { stdin: "ignore", stdout: log, stderr: log },
      ),
    );
    for (let i = 0; i < 300; i++) {
      if (daemon.process.exitCode !== null) break;
      if (existsSync(daemon.socket)) {
        const answer = await fetch("http://localhost/_ping", { unix: daemon.socket } as RequestInit).catch(
          () => undefined,
        );
        if (answer?.ok) return daemon;
      }
      await Bun.sleep(100);
    }
    const said = readFileSync(join(root, "log"), "utf8");
    await daemon[Symbol.asyncDispose]();
    throw new Error(`dockerd does not start:\n${said}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGTERM");
    await this.process.exited;
    for (const line of readFileSync("/proc/self/mountinfo", "utf8").split("\n").reverse()) {
      const path = line.split(" ")[4];
      if (path?.startsWith(`${this.root}/`)) Bun.spawnSync(["umount", "-l", path]);
    }
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** A command that executes another one in a system's root, where `shared` is the same directory as here. */
function inside(system: string, shared: string): string[] {
  const script = `set -e
mount --rbind "$1" "$1"
for place in proc sys dev; do mount --rbind /$place "$1/$place"; done
mkdir -p "$1$2" && mount --bind "$2" "$1$2"
mount -t tmpfs tmpfs "$1/run"
root=$1; shift 2
exec chroot "$root" "$@"`;
  return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", system, shared];
}

/** A root with another Debian's docker.io, made when it is not there. @throws what mmdebstrap says */
export function systemOf(suite: string): string {
  const root = `/var/cache/gantry/dockerd-${suite}`;
  if (existsSync(root)) return root;
  console.log(`making ${root}`);
  const made = `${root}.new`;
  rmSync(made, { recursive: true, force: true });
  mkdirSync(made, { recursive: true });
  const options = ["--quiet", "--mode=root", "--variant=apt", "--include=docker.io,iptables,xz-utils"];
  // A mirror may have stood still for a while.
  const valid = `--aptopt=Acquire::Check-Valid-Until "false"`;
  const { success, stderr } = Bun.spawnSync(["mmdebstrap", ...options, valid, suite, made]);
  if (!success) throw new Error(`mmdebstrap ${suite}: ${stderr}`);
  renameSync(made, root);
  return root;
}
