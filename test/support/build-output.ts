/** A build by the classic endpoint with outputs, as a client without a session takes them. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, type TestDaemon } from "./daemon.ts";

export interface BuiltOutputs {
  status: number;
  /** What the steps said. */
  text: string;
  id?: string;
  metadata?: Record<string, unknown>;
  error?: string;
  /** Archives, in the order of the outputs that go to the client. */
  archives: Uint8Array[];
}

interface Message {
  stream?: string;
  error?: string;
  message?: string;
  aux?: { ID?: string; Metadata?: Record<string, unknown>; Output?: { Id: string } };
}

export async function buildOutputs(
  daemon: TestDaemon,
  context: string,
  query: Record<string, string>,
  outputs: { Type: string; Attrs?: Record<string, string> }[] = [],
): Promise<BuiltOutputs> {
  const tar = Bun.spawnSync(["tar", "-C", context, "-c", "."]).stdout;
  const parameters = new URLSearchParams({ ...query, outputs: JSON.stringify(outputs) });
  const answer = await daemon.request(`/build?${parameters}`, { method: "POST", body: tar });
  const built: BuiltOutputs = { status: answer.status, text: "", archives: [] };
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of answer.body!) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop()!;
    for (const line of lines.filter((text) => text.trim() !== "")) {
      const { stream, error, message, aux } = JSON.parse(line) as Message;
      built.text += stream ?? "";
      built.error ??= error ?? message;
      built.id = aux?.ID ?? built.id;
      built.metadata = aux?.Metadata ?? built.metadata;
      if (!aux?.Output) continue;
      const file = await daemon.request(`/build/output/${aux.Output.Id}`);
      built.archives.push(await file.bytes());
    }
  }
  return built;
}

/** A file of an archive, or the list of them. */
export async function inArchive(archive: Uint8Array, path?: string): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "gt-archive-"));
  try {
    const file = join(directory, "archive.tar");
    writeFileSync(file, archive);
    const { stdout } = await run(["tar", path === undefined ? "-tf" : "-xOf", file, ...(path ? [path] : [])]);
    return stdout;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
