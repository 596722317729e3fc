/** The docker CLI that is installed here. */
const version = Bun.spawnSync(["docker", "--version"]).stdout.toString();

/** Whether it is of the generation whose words and flags ours are (Debian's package may be years older). */
export const recentDocker = Number(/version (\d+)\./.exec(version)?.[1] ?? 0) >= 28;
