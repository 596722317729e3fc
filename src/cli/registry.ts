/** `gantry registry`: the registry alone, no daemon needed. */

import { parseArgs } from "node:util";
import { GantryError, messageOf } from "../lib/errors.ts";
import { takeProxies } from "../lib/outgoing.ts";
import { collectRegistry, readRegistrySettings, serveRegistry } from "../registry/index.ts";

const usage = `Usage:  gantry registry COMMAND [OPTIONS]

Commands:
  serve   Serve an OCI registry
  gc      Remove what nothing names from a registry that is not being served

Options:
      --config string                YAML file with these options; "token" and "access" can be more there
      --root string                  Directory of its data (default "/var/lib/gantry/registry")
      --storage string               Keep blobs in s3://BUCKET/PREFIX; endpoint, region and keys are AWS_ENDPOINT,
                                     AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment
      --gc-grace duration            Age below which nothing is collected (default 24h)
      --gc-untagged                  Collect manifests that no tag leads to as well
      --upload-age duration          Age at which an upload that rests is dropped (default 24h)

Options of serve:
      --addr string                  Address to listen on (default "127.0.0.1:5000")
      --tls-cert string              Certificate file
      --tls-key string               Its key file
      --allow-insecure-http          Plain HTTP on addresses that others reach
      --htpasswd string              File of users and bcrypt hashes
      --token                        Bearer tokens for these users, from /token
      --anonymous-pull               Anyone may pull
      --limit-pulls rate             Manifests that one user or address may pull, e.g. 100/6h
      --limit-requests rate          Requests that one address may make, e.g. 1000/1m
      --gc-interval duration         Collect garbage so often while serving (default never)
      --proxy string                 Be a cache of the registry at this URL
      --proxy-ttl duration           Time after which a tag is compared with it again (default 5m)
      --proxy-max-size string        Size of the cache, e.g. 50g (default no limit)
      --proxy-username string        User there (or GANTRY_PROXY_USERNAME)
      --proxy-password-file string   File with the password (or GANTRY_PROXY_PASSWORD)
      --read-only                    Take nothing in, delete nothing
      --warning string               Text that clients show to their users
      --debug-addr string            Address of /metrics and /healthz alone
      --trusted-proxies string       Addresses and CIDRs whose X-Forwarded-For and -Proto count
      --shutdown-grace duration      Time that requests get to end after SIGTERM (default 10s)

Examples:
  gantry registry serve --addr 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem --htpasswd users
  gantry registry serve --proxy https://registry.example --proxy-max-size 50g
  gantry registry gc --root /var/lib/gantry/registry --gc-untagged
`;

const string = { type: "string" } as const;
const boolean = { type: "boolean" } as const;
const common = {
  config: string,
  root: string,
  storage: string,
  "gc-grace": string,
  "gc-untagged": boolean,
  "upload-age": string,
};
const serving = {
  addr: string,
  "tls-cert": string,
  "tls-key": string,
  "allow-insecure-http": boolean,
  htpasswd: string,
  token: boolean,
  "anonymous-pull": boolean,
  "limit-pulls": string,
  "limit-requests": string,
  "gc-interval": string,
  proxy: string,
  "proxy-ttl": string,
  "proxy-max-size": string,
  "proxy-username": string,
  "proxy-password-file": string,
  "read-only": boolean,
  warning: string,
  "debug-addr": string,
  "shutdown-grace": string,
  "trusted-proxies": string,
};

/**
 * `serve` runs until SIGINT or SIGTERM; SIGHUP makes it read its certificate anew.
 * @param args behind `gantry registry`
 * @returns the exit status
 */
export async function registryCommand(args: string[]): Promise<number> {
  try {
    const [command = "--help", ...rest] = args;
    if (command === "--help" || command === "-h" || rest.includes("--help") || rest.includes("-h")) {
      console.log(usage);
      return 0;
    }
    if (command === "serve") return await serve(rest);
    if (command === "gc") return await collectGarbage(rest);
    console.error(`unknown command: gantry registry ${command}\n\n${usage}`);
    return 1;
  } catch (error) {
    const isUsage = error instanceof TypeError;
    if (!isUsage && !(error instanceof GantryError)) throw error;
    console.error(isUsage ? `${messageOf(error)}\n\n${usage}` : messageOf(error));
    return isUsage ? 125 : 1;
  }
}

async function serve(args: string[]): Promise<number> {
  const { config, ...flags } = parseArgs({ args, options: { ...common, ...serving } }).values;
  const settings = await readRegistrySettings(flags, config);
  takeProxies({}, process.env);
  await using server = await serveRegistry(settings);
  if (settings["allow-insecure-http"] === true) {
    console.error("WARNING: plain HTTP: passwords and content can be read and changed on the way");
  }
  console.log(`registry listening on ${server.address}`);
  process.on("SIGHUP", () => {
    server.reload().catch((error: unknown) => console.error(`registry: certificate: ${messageOf(error)}`));
  });
  await stopSignal();
  return 0;
}

async function collectGarbage(args: string[]): Promise<number> {
  const { config, ...flags } = parseArgs({ args, options: common }).values;
  const { uploads, links, manifests, blobs } = await collectRegistry(
    await readRegistrySettings(flags, config),
  );
  console.log(`removed: ${blobs} blobs, ${manifests} manifests, ${links} links, ${uploads} uploads`);
  return 0;
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => resolve());
  });
}
