import { ExitStatus } from "../context.ts";

/** The status of a wait's answer. */
export async function exitCode(body: AsyncIterable<Uint8Array>): Promise<number> {
  const text = await new Response(body as unknown as ReadableStream).text();
  const { StatusCode, Error: failure } = JSON.parse(text) as {
    StatusCode: number;
    Error?: { Message?: string } | null;
  };
  if (failure?.Message) throw new ExitStatus(125, failure.Message);
  return StatusCode;
}
