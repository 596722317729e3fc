/** A build's result that a client reads files from, or that another build begins from: kept until it is let go. */

import { parseOutput } from "../../../build/index.ts";
import type { BuildResult, ImageLayout, OutputRequest } from "../../../build/types.ts";
import { NotFound } from "../../../lib/errors.ts";

export interface ResultFiles {
  /** A directory with the target's files. */
  root: string;
  /** What is mounted there; undefined: it is empty. */
  snapshot?: string;
  layout: ImageLayout;
}

export class HeldResult {
  readonly #released = Promise.withResolvers<void>();
  readonly #abort = new AbortController();
  #files: Promise<ResultFiles> | undefined;
  #users = 0;

  /**
   * @param build runs the build with these outputs, which end when the result is let go
   * @param onEnd called when the last user has let go
   */
  constructor(
    private readonly build: (outputs: OutputRequest[], signal: AbortSignal) => Promise<BuildResult>,
    private readonly onEnd: () => void,
  ) {}

  /** Builds on the first call. @throws what the build throws */
  files(): Promise<ResultFiles> {
    if (!this.#files) {
      this.#files = this.#run();
      // Whoever asks is told.
      this.#files.catch(() => {});
    }
    return this.#files;
  }

  /** Whoever may need the result says so, and lets go by the answer; with the last one it is gone. */
  use(): Disposable {
    this.#users++;
    let used = true;
    return {
      [Symbol.dispose]: () => {
        if (!used) return;
        used = false;
        if (--this.#users > 0) return;
        this.#released.resolve();
        this.#abort.abort();
        this.onEnd();
      },
    };
  }

  async #run(): Promise<ResultFiles> {
    const { promise, resolve, reject } = Promise.withResolvers<ResultFiles>();
    let layout: ImageLayout | undefined;
    const outputs: OutputRequest[] = [
      {
        output: parseOutput("oci", { compression: "uncompressed" }),
        deliver: async (files) => {
          const { blobs, open } = files.layout!;
          const sizes = new Map(blobs.map(({ digest, size }) => [digest, size]));
          layout = {
            digest: blobs.at(-1)!.digest,
            directory: {
              size: async (digest) => sizes.get(digest),
              read: open,
              write: async ({ digest }) => {
                throw new NotFound(`${digest}: a result takes no blobs`);
              },
            },
          };
        },
      },
      {
        output: parseOutput("local", {}),
        // The build goes on until the result is let go: so long its files are mounted and its blobs kept.
        deliver: async (files) => {
          const { root, snapshot } = files.trees![0]!;
          resolve({ root, snapshot, layout: layout! });
          await this.#released.promise;
        },
      },
    ];
    this.build(outputs, this.#abort.signal).then(() => {}, reject);
    return promise;
  }
}
