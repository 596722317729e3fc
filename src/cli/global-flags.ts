import type { EndpointOverrides } from "../api/client/index.ts";
import { InvalidParameter } from "../lib/errors.ts";
import type { Flags, ValuesOf } from "./command.ts";

/** The flags before the command. */
export const globalFlags = {
  config: { kind: "string", help: "Directory of the client's configuration files" },
  context: { kind: "string", short: "c", help: "Context to use, over GANTRY_HOST and DOCKER_HOST" },
  debug: { kind: "bool", short: "D", help: "Show where errors come from" },
  host: { kind: "list", short: "H", help: "Socket of the engine" },
  "log-level": { kind: "string", short: "l", help: "debug, info, warn, error or fatal", default: "info" },
  tls: { kind: "bool", help: "Use TLS; --tlsverify includes it" },
  tlscacert: { kind: "string", help: "Trust certificates signed by this CA" },
  tlscert: { kind: "string", help: "Path of the TLS certificate" },
  tlskey: { kind: "string", help: "Path of the TLS key" },
  tlsverify: { kind: "bool", help: "Use TLS and verify the engine" },
  version: { kind: "bool", short: "v", help: "Show the version and quit" },
} as const satisfies Flags;

/** @throws InvalidParameter when there is more than one host */
export function endpointOverrides(
  flags: ValuesOf<typeof globalFlags>,
  given: (name: "tls" | "tlsverify") => boolean,
): EndpointOverrides {
  if (flags.host.length > 1) throw new InvalidParameter("specify only one -H");
  return {
    host: flags.host[0],
    context: flags.context,
    configDir: flags.config,
    tls: flags.tls || undefined,
    tlsVerify: given("tlsverify") ? flags.tlsverify : undefined,
    tlsCaCert: flags.tlscacert,
    tlsCert: flags.tlscert,
    tlsKey: flags.tlskey,
  };
}
