/** Certificates of a registry, as Docker finds them: `certs.d/<host>/*.crt`, `*.cert` with its `*.key`. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { getCACertificates } from "node:tls";
import { InvalidParameter } from "../../lib/errors.ts";

export const defaultCertDirs = ["/etc/docker/certs.d", "/etc/gantry/certs.d"];

export interface TlsOptions {
  ca?: string[];
  cert?: string;
  key?: string;
  rejectUnauthorized?: boolean;
}

/**
 * @param host with its port, e.g. `reg.example:5000`
 * @throws InvalidParameter when a client certificate has no key, or a key no certificate
 */
export async function readTls(host: string, dirs: readonly string[]): Promise<TlsOptions> {
  const ca: string[] = [];
  const options: TlsOptions = {};
  for (const dir of dirs.map((root) => join(root, host))) {
    const names = (await readdir(dir).catch(emptyIfMissing)).sort();
    for (const name of names) {
      const path = join(dir, name);
      if (name.endsWith(".crt")) ca.push(await readFile(path, "utf8"));
      if (name.endsWith(".cert")) {
        const key = `${name.slice(0, -".cert".length)}.key`;
        if (!names.includes(key))
          throw new InvalidParameter(`missing key ${key} for client certificate ${name}`);
        options.cert = await readFile(path, "utf8");
        options.key = await readFile(join(dir, key), "utf8");
      }
      if (name.endsWith(".key") && !names.includes(`${name.slice(0, -".key".length)}.cert`)) {
        throw new InvalidParameter(`missing client certificate for key ${name}`);
      }
    }
  }
  // The registry's own authorities are added to the system's, they do not replace them.
  if (ca.length > 0) options.ca = [...getCACertificates("default"), ...ca];
  return options;
}

function emptyIfMissing(error: unknown): string[] {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT" || code === "ENOTDIR") return [];
  throw error;
}
