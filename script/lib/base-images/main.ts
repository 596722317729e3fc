/** `script/base-images`: makes the stand-in images and pushes them. */
import { parseArgs } from "node:util";
import { messageOf } from "../../../src/lib/errors.ts";
import { createRegistryClient, serveRegistry } from "../../../src/registry/index.ts";
import { type ImageRecipe, images } from "./catalogue.ts";
import { LayerCache } from "./layers.ts";
import { pushImage } from "./push.ts";

const usage = `Usage: script/base-images [OPTIONS] [REGISTRY]

Makes small stand-ins for Docker Hub's images from Debian's packages and pushes them to REGISTRY
(default 127.0.0.1:5001). What was made before comes out of the cache.

Options:
  --cache DIR   where layers are kept (default /var/cache/gantry/base-images); remove it to get newer packages
  --root DIR    serve DIR as a registry at REGISTRY while pushing, in place of a running one
  --serve       with --root: go on serving until interrupted
  --only NAME   only this image, e.g. busybox; may be given more than once
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      cache: { type: "string", default: "/var/cache/gantry/base-images" },
      root: { type: "string" },
      serve: { type: "boolean", default: false },
      only: { type: "string", multiple: true },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const names = images.map(shortName);
  const unknown = values.only?.find((name) => !names.includes(name));
  if (unknown) throw new Error(`there is no image ${unknown}; there are ${names.join(", ")}`);
  const wanted = images.filter((image) => values.only?.includes(shortName(image)) ?? true);
  const addr = positionals[0] ?? "127.0.0.1:5001";
  await using server = values.root ? await serveRegistry({ addr, root: values.root }) : undefined;
  const domain = server?.address ?? addr;
  await pushAll(wanted, domain, values.cache);
  if (server && values.serve) {
    console.log(`registry listening on ${server.address}`);
    await new Promise<void>((resolve) => {
      for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => resolve());
    });
  }
  return 0;
}

function shortName({ repository }: ImageRecipe): string {
  return repository.replace(/^library\//, "");
}

async function pushAll(wanted: ImageRecipe[], domain: string, cacheDir: string): Promise<void> {
  const client = createRegistryClient({ userAgent: "gantry-base-images" });
  const cache = new LayerCache(cacheDir, (message) => console.log(message));
  try {
    const results = await Promise.allSettled(
      wanted.map(async (image) => {
        const layers = await Promise.all(image.layers.map((name) => cache.layer(name)));
        const pushed = await pushImage(client, domain, image, layers);
        const name = shortName(image);
        const what =
          pushed.length > 0
            ? `pushed ${pushed.map((tag) => `${name}:${tag}`).join(" ")}`
            : `${name} is there`;
        console.log(`${what} (stand-in: ${image.contents})`);
      }),
    );
    const failed = results.find((result) => result.status === "rejected");
    if (failed) throw failed.reason;
  } finally {
    await cache.close();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`base-images: ${messageOf(error)}`);
  process.exitCode = 1;
}
