/** Which of the installed docker CLIs drives what. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/**
 * The CLI that builds by BuildKit: Debian's docker.io 20.10 has its client in itself, later ones want the plug-in
 * buildx. A machine may have one of each. undefined: Docker's classic builder is what there is.
 */
export const withBuildKit: string | undefined = installed().find((docker) => {
  // What builds without BuildKit has no --progress.
  const { stdout } = Bun.spawnSync([docker, "build", "--help"], {
    env: { ...process.env, DOCKER_BUILDKIT: "1" },
    stderr: "ignore",
  });
  return stdout.toString().includes("--progress");
});

/** As a docker CLI is to be called for `withBuildKit` to hold. */
export const buildEnvironment = { DOCKER_BUILDKIT: withBuildKit === undefined ? "0" : "1" };

function installed(): string[] {
  const all = (process.env.PATH ?? "").split(delimiter).map((directory) => join(directory, "docker"));
  return all.filter((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
