/** What `docker info` says of a daemon that others reach who shouldn't. Words: moby, daemon/info.go. */
import type { Listener } from "../../api/server/index.ts";

const why = `
         Access to the remote API is equivalent to root access on the host. Refer
         to the 'Docker daemon attack surface' section in the documentation for
         more information: https://docs.docker.com/go/attack-surface/`;

export function exposureWarnings(listeners: readonly Listener[]): string[] {
  return listeners.flatMap((listener) => {
    if (listener.kind !== "tcp") return [];
    const { tls, port } = listener;
    const host = listener.host.includes(":") ? `[${listener.host}]` : listener.host;
    if (!tls) return [`WARNING: API is accessible on http://${host}:${port} without encryption.${why}`];
    if (!tls.verify)
      return [`WARNING: API is accessible on https://${host}:${port} without TLS client verification.${why}`];
    return [];
  });
}
