/** Creates a container, pulling its image when the engine has none. */
import { GantryError, InvalidParameter, messageOf, NotFound } from "../../lib/errors.ts";
import { fs } from "../../lib/lazy-fs.ts";
import { normalize, parseReference } from "../../lib/reference.ts";
import type { Parsed } from "../command.ts";
import type { CliContext } from "../context.ts";
import { familiarImage, pullImage } from "../image/pull-image.ts";
import { stderrFd } from "../terminal.ts";
import type { CreateBody } from "./create-body.ts";
import type { createFlags } from "./create-flags.ts";
import { withProxies } from "./proxies.ts";

/** @returns the id. @throws what the engine said */
export async function createContainer(
  context: CliContext,
  body: CreateBody,
  flags: Parsed<typeof createFlags>["flags"],
): Promise<string> {
  checkPull(flags.pull);
  using idFile = flags.cidfile === undefined ? undefined : openIdFile(flags.cidfile);
  const progress = flags.quiet ? undefined : stderrFd;
  const pull = () => pullImage(context, body.Image, { platform: flags.platform, progress });
  if (flags.pull === "always") await pull();
  const create = () =>
    context.client.call<{ Id: string; Warnings?: string[] | null }>("POST", "/containers/create", {
      query: { name: flags.name, platform: flags.platform },
      body: { ...body, Env: withProxies(context, body.Env) },
    });
  let created: { Id: string; Warnings?: string[] | null };
  try {
    created = await create();
  } catch (error) {
    if (!(error instanceof NotFound) || flags.pull !== "missing") throw error;
    const wrong = whyNotAReference(body.Image);
    if (wrong) throw wrong;
    context.err(`Unable to find image '${familiarImage(body.Image)}' locally\n`);
    await pull();
    created = await create();
  }
  for (const warning of created.Warnings ?? []) context.err(`WARNING: ${warning}\n`);
  idFile?.write(created.Id);
  return created.Id;
}

/** @throws InvalidParameter */
export function checkPull(option: string): void {
  if (!["always", "missing", "never"].includes(option))
    throw new InvalidParameter(
      `invalid pull option: '${option}': must be one of "always", "missing" or "never"`,
    );
}

/**
 * The file for the id is made before the container, so that none is made whose id could not be written.
 * @throws InvalidParameter when it is there, or can't be made
 */
function openIdFile(path: string): { write(id: string): void } & Disposable {
  if (fs().existsSync(path))
    throw new InvalidParameter(
      `container ID file found, make sure the other container isn't running or delete ${path}`,
    );
  let written = false;
  try {
    fs().writeFileSync(path, "", { flag: "wx" });
  } catch (error) {
    throw new InvalidParameter(`failed to create the container ID file: ${messageOf(error)}`, {
      cause: error,
    });
  }
  return {
    write(id) {
      fs().writeFileSync(path, id);
      written = true;
    },
    [Symbol.dispose]() {
      if (!written) fs().rmSync(path, { force: true });
    },
  };
}

function whyNotAReference(image: string): GantryError | undefined {
  try {
    normalize(parseReference(image));
    return undefined;
  } catch (error) {
    if (error instanceof GantryError) return error;
    throw error;
  }
}
