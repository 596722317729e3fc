/**
 * Outputs of a build that go to a client without a session: the answer tells an id for each, under which the files
 * are fetched once (`GET /build/output/{id}`). The build waits for that.
 */
import * as v from "valibot";
import { parseOutput } from "../../build/index.ts";
import type { Output, OutputFiles } from "../../build/types.ts";
import { Cancelled, NotFound, Unavailable } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import { type Exchange, parseJson, validate } from "./exchange.ts";
import { field, stringMap } from "./fields.ts";

/** How long files wait for a client that has been told of them (milliseconds). */
const patience = 60_000;

const schema = v.array(
  v.pipe(
    v.object({ Type: v.string(), Attrs: field(stringMap, {}) }),
    v.transform(({ Type, Attrs }) => parseOutput(Type, Attrs)),
  ),
);

/** The parameter `outputs`: `[{"Type": "tar", "Attrs": {}}]`. @throws InvalidParameter, NotImplemented */
export function readOutputs(x: Exchange): Output[] {
  const text = x.text("outputs");
  return text === "" ? [] : validate(schema, parseJson(text, "invalid outputs"));
}

interface Waiting {
  files: OutputFiles;
  taken(work: Promise<void>): void;
}

export class PendingOutputs {
  readonly #waiting = new Map<string, Waiting>();

  /**
   * Offers files until somebody has fetched them.
   * @param tell gets the id, for the client's eyes alone
   * @throws Unavailable when nobody comes, Cancelled when `signal` aborts, what sending throws
   */
  async offer(files: OutputFiles, tell: (id: string) => void, signal: AbortSignal): Promise<void> {
    const id = newId();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const late = setTimeout(
      () => reject(new Unavailable("the output was not fetched by the client")),
      patience,
    );
    const onAbort = () => reject(new Cancelled("the build's client has gone"));
    signal.addEventListener("abort", onAbort);
    this.#waiting.set(id, {
      files,
      taken: (work) => {
        clearTimeout(late);
        resolve(work);
      },
    });
    try {
      signal.throwIfAborted();
      tell(id);
      await promise;
    } finally {
      clearTimeout(late);
      signal.removeEventListener("abort", onAbort);
      this.#waiting.delete(id);
    }
  }

  /** Answers with the files as a tar archive. @throws NotFound also the second time */
  async fetch(x: Exchange): Promise<void> {
    const { id = "" } = x.params;
    const waiting = this.#waiting.get(id);
    if (!waiting) throw new NotFound(`no such build output: ${id}`);
    this.#waiting.delete(id);
    const work = x.stream(waiting.files.archive(), "application/x-tar");
    waiting.taken(work);
    await work;
  }
}
