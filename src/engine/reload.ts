import { hostname } from "node:os";
import type { Context } from "./context.ts";
import type { Reloadable } from "./types.ts";

/** As `Engine.reload`. @param id the daemon's own, which the event is about */
export async function reload(context: Context, id: string, settings: Reloadable): Promise<void> {
  const { options, registry, runtime, events } = context;
  const registriesOf = ({ registryMirrors, insecureRegistries }: Reloadable) => ({
    mirrors: registryMirrors,
    insecure: insecureRegistries,
  });
  registry.configure(registriesOf(settings));
  try {
    await runtime.configure(settings.runtimes, settings.runtime);
  } catch (error) {
    registry.configure(registriesOf(options));
    throw error;
  }
  Object.assign(options, settings);
  events.publish("daemon", "reload", id, {
    name: hostname(),
    debug: String(options.debug),
    "default-runtime": runtime.name,
    "insecure-registries": JSON.stringify(options.insecureRegistries),
    labels: JSON.stringify(options.labels),
    "live-restore": "true",
    "registry-mirrors": JSON.stringify(options.registryMirrors),
    runtimes: JSON.stringify(runtime.programs()),
  });
}
