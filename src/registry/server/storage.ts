/** Opens what the registry keeps its content in. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { openFileBlobs } from "./file-blobs.ts";
import { Registry } from "./registry.ts";
import { openS3Blobs } from "./s3-blobs.ts";
import { SqliteMetadata } from "./sqlite-metadata.ts";
import type { BlobStore } from "./types.ts";

export interface OpenRegistry extends AsyncDisposable {
  registry: Registry;
}

/**
 * @param root has the metadata, and the blobs unless `storage` says `s3://BUCKET/PREFIX`; it is made when missing
 * @throws Unavailable when another registry has it open
 */
export async function openRegistry(root: string, storage?: string): Promise<OpenRegistry> {
  await mkdir(root, { recursive: true });
  const metadata = new SqliteMetadata(join(root, "registry.db"));
  try {
    const registry = new Registry(await openBlobs(root, storage), metadata);
    return {
      registry,
      async [Symbol.asyncDispose]() {
        await registry.uploads.closeAll();
        metadata.close();
      },
    };
  } catch (error) {
    metadata.close();
    throw error;
  }
}

async function openBlobs(root: string, storage: string | undefined): Promise<BlobStore> {
  const s3 = /^s3:\/\/([^/]+)\/?(.*?)\/*$/.exec(storage ?? "");
  return s3 ? openS3Blobs(s3[1]!, s3[2]!) : await openFileBlobs(root);
}
