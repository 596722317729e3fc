/** Lines of several builds in one output, each with the name of its target before it. */
export class Prefixed {
  readonly #width: number;

  constructor(
    names: readonly string[],
    private readonly write: (text: string) => void,
  ) {
    this.#width = Math.max(...names.map((name) => name.length));
  }

  open(name: string): { copy(stream: ReadableStream<Uint8Array>): Promise<void> } {
    const prefix = `${name.padEnd(this.#width)} | `;
    return { copy: (stream) => this.#copy(prefix, stream) };
  }

  async #copy(prefix: string, stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop()!;
      if (lines.length > 0) this.write(lines.map((line) => `${prefix}${line}\n`).join(""));
    }
    if (rest !== "") this.write(`${prefix}${rest}\n`);
  }
}
