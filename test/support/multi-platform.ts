/** An image for two platforms with an attestation, written by hand into a registry. The layers of both are busybox's. */
import { createHash } from "node:crypto";
import { busyboxArchive } from "./busybox.ts";

export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  platform?: { os: string; architecture: string };
  annotations?: Record<string, string>;
}

export interface MultiPlatform {
  index: Descriptor;
  amd64: Descriptor;
  arm64: Descriptor;
  attestation: Descriptor;
  /** Ids of the images: the digests of their configs. */
  ids: { amd64: string; arm64: string };
}

const oci = "application/vnd.oci.image";
const docker = "application/vnd.docker.distribution";
export const statement = { _type: "https://in-toto.io/Statement/v0.1", predicateType: "https://slsa.dev/v1" };

/** @param repository `host:port/path`; @param note makes layers and images of their own */
export async function publishMultiPlatform(
  repository: string,
  tag: string,
  note: string,
): Promise<MultiPlatform> {
  const target = new Repository(repository);
  const base = fromArchive("layer.tar");
  const own = tarOf(`note-${note}`, note);
  const image = async (architecture: string) => {
    const config = await target.blob(`${oci}.config.v1+json`, {
      os: "linux",
      architecture,
      created: "2024-01-01T00:00:00Z",
      config: { Env: ["PATH=/bin"], Cmd: ["sh"], Labels: { note } },
      rootfs: { type: "layers", diff_ids: [digestOf(base), digestOf(own)] },
    });
    const layers = [
      await target.blob(`${oci}.layer.v1.tar+gzip`, Bun.gzipSync(base)),
      await target.blob(`${oci}.layer.v1.tar+zstd`, await Bun.zstdCompress(own)),
    ];
    const manifest = await target.manifest(undefined, { config, layers, annotations: { of: architecture } });
    return { manifest: { ...manifest, platform: { os: "linux", architecture } }, id: config.digest };
  };
  const amd64 = await image("amd64");
  const arm64 = await image("arm64");
  const attestation = await target.manifest(undefined, {
    config: await target.blob(`${oci}.config.v1+json`, {
      os: "unknown",
      architecture: "unknown",
      rootfs: { type: "layers", diff_ids: [] },
    }),
    layers: [
      {
        ...(await target.blob("application/vnd.in-toto+json", statement)),
        annotations: { "in-toto.io/predicate-type": statement.predicateType },
      },
    ],
  });
  const stated = {
    ...attestation,
    platform: { os: "unknown", architecture: "unknown" },
    annotations: {
      "vnd.docker.reference.type": "attestation-manifest",
      "vnd.docker.reference.digest": amd64.manifest.digest,
    },
  };
  const index = await target.manifest(tag, {
    mediaType: `${oci}.index.v1+json`,
    manifests: [arm64.manifest, amd64.manifest, stated],
    annotations: { whole: "yes" },
  });
  return {
    index,
    amd64: amd64.manifest,
    arm64: arm64.manifest,
    attestation,
    ids: { amd64: amd64.id, arm64: arm64.id },
  };
}

export const digestOf = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** A repository written to over the distribution API. */
export class Repository {
  readonly #base: string;

  constructor(repository: string) {
    const slash = repository.indexOf("/");
    this.#base = `http://${repository.slice(0, slash)}/v2/${repository.slice(slash + 1)}`;
  }

  async blob(mediaType: string, content: object | Uint8Array): Promise<Descriptor> {
    const bytes = content instanceof Uint8Array ? content : Buffer.from(JSON.stringify(content));
    const digest = digestOf(bytes);
    const started = await fetch(`${this.#base}/blobs/uploads/`, { method: "POST" });
    const location = new URL(started.headers.get("location")!, this.#base);
    location.searchParams.set("digest", digest);
    const { status } = await fetch(location, { method: "PUT", body: bytes as Uint8Array<ArrayBuffer> });
    if (status !== 201) throw new Error(`the registry refused a blob: ${status}`);
    return { mediaType, digest, size: bytes.length };
  }

  async manifest(
    tag: string | undefined,
    { mediaType = `${oci}.manifest.v1+json`, ...rest }: { mediaType?: string; [field: string]: unknown },
  ): Promise<Descriptor> {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...rest }));
    const digest = digestOf(bytes);
    const answer = await fetch(`${this.#base}/manifests/${tag ?? digest}`, {
      method: "PUT",
      body: bytes,
      headers: { "content-type": mediaType },
    });
    if (answer.status !== 201)
      throw new Error(`the registry refused a manifest: ${answer.status} ${await answer.text()}`);
    return { mediaType, digest, size: bytes.length };
  }

  /** The digest behind a tag or digest, or undefined. */
  async digest(reference: string): Promise<string | undefined> {
    const answer = await fetch(`${this.#base}/manifests/${reference}`, {
      headers: {
        accept: `${oci}.index.v1+json, ${oci}.manifest.v1+json, ${docker}.manifest.v2+json, ${docker}.manifest.list.v2+json`,
      },
    });
    return answer.ok ? digestOf(new Uint8Array(await answer.arrayBuffer())) : undefined;
  }
}

function fromArchive(name: string): Buffer<ArrayBuffer> {
  return Buffer.from(Bun.spawnSync(["tar", "-xOf", busyboxArchive(), name]).stdout);
}

/** A tar with one small file. */
export function tarOf(name: string, content: string): Buffer<ArrayBuffer> {
  const body = Buffer.alloc(512);
  body.write(content);
  const header = Buffer.alloc(512);
  header.write(name);
  header.write("0000644\x000000000\x000000000\x00", 100);
  header.write(`${content.length.toString(8).padStart(11, "0")}\x00`, 124);
  header.write("00000000000\0        0", 136);
  header.write("ustar\x0000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\x00 `, 148);
  return Buffer.concat([header, body, Buffer.alloc(1024)]);
}
