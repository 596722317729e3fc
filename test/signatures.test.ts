/** A policy that asks for signatures: made here by openssl, in the form that cosign gives them. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { TestRegistry } from "./support/registry.ts";

let registry: TestRegistry;
/** Without a policy: it pushes. */
let author: TestDaemon;
let daemon: TestDaemon;
let scratch: string;
beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "gt-signed-"));
  registry = await TestRegistry.start();
  author = await TestDaemon.start();
  await must(["openssl", "genpkey", "-algorithm", "ED25519", "-out", key("ed25519")]);
  await must([
    "openssl",
    "genpkey",
    "-algorithm",
    "RSA",
    "-pkeyopt",
    "rsa_keygen_bits:2048",
    "-out",
    key("rsa"),
  ]);
  for (const name of ["ed25519", "rsa"])
    await must(["openssl", "pkey", "-in", key(name), "-pubout", "-out", `${key(name)}.pub`]);
  for (const name of ["team", "stranger"]) {
    await must(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key(name)]);
    await must(["openssl", "ec", "-in", key(name), "-pubout", "-out", `${key(name)}.pub`]);
  }
  daemon = await TestDaemon.start({
    config: {
      "gantry-signatures": {
        [`${registry.address}/team`]: `${key("team")}.pub`,
        [`${registry.address}/rsa`]: `${key("rsa")}.pub`,
        [`${registry.address}/ed25519`]: `${key("ed25519")}.pub`,
      },
    },
  });
});
afterAll(() => disposeAll(daemon, author, registry, scratch));

const key = (name: string) => join(scratch, `${name}.pem`);
const sha256 = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest("hex");

async function must(command: string[]): Promise<void> {
  const { code, stderr } = await run(command);
  if (code !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

/** Pushes busybox as `repository`, of a content of its own. @returns the manifest's digest */
async function push(repository: string): Promise<string> {
  const image = `${registry.address}/${repository}:1`;
  const context = join(scratch, sha256(repository));
  mkdirSync(context, { recursive: true });
  writeFileSync(join(context, "Dockerfile"), `FROM busybox\nLABEL name=${repository}\n`);
  await author.ok(["build", "-q", "-t", image, context]);
  return /digest: (sha256:[0-9a-f]{64})/.exec(await author.ok(["push", image]))![1]!;
}

async function upload(repository: string, bytes: Uint8Array | string): Promise<object> {
  const base = `http://${registry.address}/v2/${repository}`;
  const begun = await fetch(`${base}/blobs/uploads/`, { method: "POST" });
  const place = new URL(begun.headers.get("location")!, base);
  place.searchParams.set("digest", `sha256:${sha256(bytes)}`);
  const done = await fetch(place, { method: "PUT", body: bytes });
  expect(done.status).toBe(201);
  return { digest: `sha256:${sha256(bytes)}`, size: Buffer.byteLength(bytes) };
}

/** What `cosign sign --key` leaves in the registry. `of` is the digest that the payload names. */
async function sign(repository: string, digest: string, signer: string, of = digest): Promise<void> {
  const payload = JSON.stringify({
    critical: {
      identity: { "docker-reference": `${registry.address}/${repository}` },
      image: { "docker-manifest-digest": of },
      type: "cosign container image signature",
    },
    optional: null,
  });
  const [file, signature] = [join(scratch, "payload"), join(scratch, "signature")];
  writeFileSync(file, payload);
  const how =
    signer === "ed25519"
      ? ["pkeyutl", "-sign", "-rawin", "-out", signature, "-inkey", key(signer), "-in", file]
      : ["dgst", "-sha256", "-sign", key(signer), "-out", signature, file];
  await must(["openssl", ...how]);
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: {
      mediaType: "application/vnd.oci.image.config.v1+json",
      ...(await upload(repository, "{}")),
    },
    layers: [
      {
        mediaType: "application/vnd.dev.cosign.simplesigning.v1+json",
        ...(await upload(repository, payload)),
        annotations: {
          "dev.cosignproject.cosign/signature": readFileSync(signature).toString("base64"),
        },
      },
    ],
  });
  const tag = digest.replace(":", "-");
  const response = await fetch(`http://${registry.address}/v2/${repository}/manifests/${tag}.sig`, {
    method: "PUT",
    body: manifest,
    headers: { "content-type": "application/vnd.oci.image.manifest.v1+json" },
  });
  expect(response.status).toBe(201);
}

test("a signed image is pulled and runs, by tag and by digest", async () => {
  const digest = await push("team/good");
  await sign("team/good", digest, "team");
  const image = `${registry.address}/team/good`;
  await daemon.ok(["pull", `${image}:1`]);
  for (const name of [`${image}:1`, `${image}@${digest}`])
    expect(await daemon.ok(["run", "--rm", "--network", "none", name, "echo", "runs"])).toBe("runs");
});

test.each(["rsa", "ed25519"])("keys of kind %s", async (kind) => {
  const image = `${registry.address}/${kind}/good:1`;
  const digest = await push(`${kind}/good`);
  await sign(`${kind}/good`, digest, "stranger");
  expect((await daemon.gantry(["pull", image])).stderr).toContain("by that key");
  await sign(`${kind}/good`, digest, kind);
  await daemon.ok(["pull", image]);
});

test("a container from before the policy does not start, and one that runs does not start again", async () => {
  const image = `${registry.address}/late/app:1`;
  await using late = await TestDaemon.start();
  await late.ok(["tag", "busybox", image]);
  await late.ok(["create", "--name", "before", "--network", "none", image, "true"]);
  await late.ok([
    "run",
    "-d",
    "--name",
    "kept",
    "--restart",
    "always",
    "--network",
    "none",
    image,
    "sleep",
    "900",
  ]);
  await late.shutDown();
  Object.assign(late.config, { "gantry-signatures": { [`${registry.address}/late`]: `${key("team")}.pub` } });
  await late.boot();
  const refused = await late.gantry(["start", "before"]);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("no pull has verified this one");
  // What runs goes on; once ended it stays so.
  expect(await late.ok(["inspect", "-f", "{{.State.Running}}", "kept"])).toBe("true");
  const again = await late.gantry(["restart", "-t", "0", "kept"]);
  expect(again.stderr).toContain("no pull has verified this one");
  expect(await late.ok(["inspect", "-f", "{{.State.Running}}", "kept"])).toBe("false");
});

test.each<[string, string, (digest: string) => Promise<void>]>([
  ["an unsigned image", "has no signature", async () => {}],
  ["one signed by somebody else", "by that key", (digest) => sign("team/bad", digest, "stranger")],
  [
    "one with the signature of another image",
    "by that key",
    (digest) => sign("team/bad", digest, "team", `sha256:${"0".repeat(64)}`),
  ],
])("%s is refused, and nothing of it stays", async (_name, reason, prepare) => {
  await prepare(await push("team/bad"));
  const image = `${registry.address}/team/bad:1`;
  for (const command of [
    ["pull", image],
    ["run", "--rm", image, "true"],
  ]) {
    const { code, stdout, stderr } = await daemon.gantry(command);
    expect(code).not.toBe(0);
    expect(stdout + stderr).toContain("must be signed by");
    expect(stdout + stderr).toContain(reason);
  }
  expect(await daemon.ok(["images", "-q", image])).toBe("");
});

test("repositories without a policy are as ever", async () => {
  await push("other/free");
  await daemon.ok(["pull", `${registry.address}/other/free:1`]);
  await push("teamwork");
  await daemon.ok(["pull", `${registry.address}/teamwork:1`]);
});

test("a local image under a name of the policy neither runs nor is built on", async () => {
  const image = `${registry.address}/team/local:1`;
  await daemon.ok(["tag", "busybox", image]);
  const refused = await daemon.gantry(["run", "--rm", "--network", "none", image, "true"]);
  expect(refused.stderr).toContain("no pull has verified this one");
  const context = mkdtempSync(join(scratch, "c-"));
  writeFileSync(join(context, "Dockerfile"), `FROM ${image}\nRUN true\n`);
  const built = await daemon.gantry(["build", context]);
  expect(built.stdout + built.stderr).toContain("no pull has verified this one");
  await daemon.ok(["rmi", image]);
});
