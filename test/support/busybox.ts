/** A busybox image as a docker archive, made once from Debian's static busybox. */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const busybox = "/bin/busybox";

/** Path of the archive; it holds `busybox:latest`. */
export function busyboxArchive(): string {
  const target = join(tmpdir(), "gantry-test-busybox-2.tar");
  if (existsSync(target)) return target;
  const work = mkdtempSync(join(tmpdir(), "gt-busybox-"));
  try {
    const root = join(work, "root");
    for (const directory of ["bin", "etc", "tmp", "root", "var/www", "home"])
      mkdirSync(join(root, directory), { recursive: true });
    must(["chmod", "1777", join(root, "tmp")]);
    must(["cp", busybox, join(root, "bin/busybox")]);
    const applets = must([busybox, "--list"])
      .split("\n")
      .filter((name) => name && name !== "busybox");
    for (const applet of applets) must(["ln", "-s", "busybox", join(root, "bin", applet)]);
    writeFileSync(
      join(root, "etc/passwd"),
      "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
    );
    // Without it the static C library looks for modules that are not there, and fails badly.
    writeFileSync(join(root, "etc/nsswitch.conf"), "hosts: files dns\n");
    writeFileSync(join(root, "etc/group"), "root:x:0:\nnogroup:x:65534:\n");
    must([
      "tar",
      "--owner=0",
      "--group=0",
      "--sort=name",
      "--mtime=@0",
      "-C",
      root,
      "-cf",
      join(work, "layer.tar"),
      ".",
    ]);
    const diffId = `sha256:${must(["sha256sum", join(work, "layer.tar")]).split(" ")[0]}`;
    const config = {
      architecture: process.arch === "x64" ? "amd64" : process.arch,
      os: "linux",
      created: "2024-01-01T00:00:00Z",
      config: { Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], Cmd: ["sh"] },
      rootfs: { type: "layers", diff_ids: [diffId] },
      history: [{ created: "2024-01-01T00:00:00Z", created_by: "busybox-static" }],
    };
    writeFileSync(join(work, "config.json"), JSON.stringify(config));
    writeFileSync(
      join(work, "manifest.json"),
      JSON.stringify([{ Config: "config.json", RepoTags: ["busybox:latest"], Layers: ["layer.tar"] }]),
    );
    must(["tar", "-C", work, "-cf", join(work, "image.tar"), "manifest.json", "config.json", "layer.tar"]);
    renameSync(join(work, "image.tar"), target);
    return target;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function must(command: string[]): string {
  const { success, stdout, stderr } = Bun.spawnSync(command);
  if (!success) throw new Error(`${command.join(" ")}: ${stderr.toString()}`);
  return stdout.toString();
}
