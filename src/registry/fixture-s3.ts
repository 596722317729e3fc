/** An S3 server for tests: s3rver on a free port. */
import { join } from "node:path";
import type { S3Options } from "bun";
import { onInterrupt } from "../../test/support/interrupt.ts";
import { tempDir } from "./fixture.ts";

export interface S3Server extends AsyncDisposable {
  bucket: string;
  options: S3Options;
  /** The same as a process takes it. */
  env: Record<string, string>;
}

const script = join(import.meta.dir, "../../node_modules/s3rver/bin/s3rver.js");

export async function s3Server(): Promise<S3Server> {
  const dir = await tempDir();
  const bucket = "registry";
  const args = ["--address", "127.0.0.1", "--port", "0", "--directory", dir.path];
  const child = Bun.spawn([process.execPath, script, ...args, "--configure-bucket", bucket, "--silent"], {
    stdout: "pipe",
    stderr: "inherit",
  });
  const cleared = onInterrupt(() => child.kill("SIGKILL"));
  const stop = async () => {
    child.kill();
    await child.exited;
    cleared();
    await dir[Symbol.asyncDispose]();
  };
  let port: string | undefined;
  const output = child.stdout.getReader();
  for (let text = ""; port === undefined; ) {
    const { done, value } = await output.read();
    if (done) break;
    text += Buffer.from(value).toString();
    port = /listening on \S+?:(\d+)\n/.exec(text)?.[1];
  }
  if (port === undefined) {
    await stop();
    throw new Error("s3rver did not start");
  }
  const options = {
    endpoint: `http://127.0.0.1:${port}`,
    region: "us-east-1",
    accessKeyId: "S3RVER",
    secretAccessKey: "S3RVER",
  };
  const env = {
    AWS_ENDPOINT: options.endpoint,
    AWS_REGION: options.region,
    AWS_ACCESS_KEY_ID: options.accessKeyId,
    AWS_SECRET_ACCESS_KEY: options.secretAccessKey,
  };
  return { bucket, options, env, [Symbol.asyncDispose]: stop };
}
