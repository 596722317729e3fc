/** A byte stream of JSON values, one a line (or simply one after another, as old daemons write them), as values. */
export async function* jsonLines<T>(body: AsyncIterable<Uint8Array>): AsyncGenerator<T> {
  const decoder = new TextDecoder();
  let pending = "";
  for await (const bytes of body) {
    pending += decoder.decode(bytes, { stream: true });
    const end = pending.lastIndexOf("\n");
    if (end < 0) continue;
    const lines = pending.slice(0, end);
    pending = pending.slice(end + 1);
    for (const line of lines.split("\n")) if (line.trim() !== "") yield JSON.parse(line) as T;
  }
  pending += decoder.decode();
  if (pending.trim() !== "") yield JSON.parse(pending) as T;
}
