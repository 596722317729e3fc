import { InvalidParameter } from "../../lib/errors.ts";
import type { HealthcheckConfig, ImageRunConfig } from "../../lib/oci.ts";
import type { ContainerConfig } from "../config.ts";

/**
 * What the user asked for, completed by the image's defaults (the rules of `docker run`'s overriding).
 * @throws InvalidParameter when neither says what to run
 */
export function mergeImageConfig(user: ContainerConfig, image: ImageRunConfig): ContainerConfig {
  const merged: ContainerConfig = {
    ...user,
    User: user.User || image.User || "",
    WorkingDir: user.WorkingDir || image.WorkingDir || "",
    StopSignal: user.StopSignal || image.StopSignal,
    Shell: user.Shell ?? image.Shell ?? undefined,
    ExposedPorts: { ...image.ExposedPorts, ...user.ExposedPorts },
    Volumes: { ...image.Volumes, ...user.Volumes },
    Labels: { ...image.Labels, ...user.Labels },
    Env: mergeEnv(image.Env ?? [], user.Env),
    Healthcheck: mergeHealthcheck(image.Healthcheck, user.Healthcheck),
  };
  // An entrypoint of the user's own makes the image's command meaningless; [""] clears the image's.
  if (!user.Entrypoint || user.Entrypoint.length === 0) {
    if (!user.Cmd || user.Cmd.length === 0) merged.Cmd = image.Cmd ?? null;
    if (user.Entrypoint === null) merged.Entrypoint = image.Entrypoint ?? null;
  } else if (user.Entrypoint.length === 1 && user.Entrypoint[0] === "") {
    merged.Entrypoint = null;
  }
  const args = [...(merged.Entrypoint ?? []), ...(merged.Cmd ?? [])];
  if (args.length === 0 || args[0] === "") throw new InvalidParameter("no command specified");
  return merged;
}

/** The image's variables first, each replaced where it stands when the user sets it. `KEY` alone removes it. */
export function mergeEnv(base: string[], override: string[]): string[] {
  const nameOf = (entry: string) => entry.split("=", 1)[0]!;
  const merged = new Map(base.map((entry) => [nameOf(entry), entry]));
  for (const entry of override) {
    if (entry.includes("=")) merged.set(nameOf(entry), entry);
    else merged.delete(entry);
  }
  return [...merged.values()];
}

function mergeHealthcheck(
  image: HealthcheckConfig | undefined,
  user: HealthcheckConfig | undefined,
): HealthcheckConfig | undefined {
  if (!user || !image) return user ?? image;
  return {
    Test: user.Test?.length ? user.Test : image.Test,
    Interval: user.Interval || image.Interval,
    Timeout: user.Timeout || image.Timeout,
    StartPeriod: user.StartPeriod || image.StartPeriod,
    StartInterval: user.StartInterval || image.StartInterval,
    Retries: user.Retries || image.Retries,
  };
}
