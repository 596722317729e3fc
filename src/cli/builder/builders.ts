/** Builders: each context's engine has one in itself, and the context's name is the builder's. */
import { contextName } from "../../api/client/index.ts";
import { NotFound } from "../../lib/errors.ts";
import { CliContext } from "../context.ts";

/** `--builder`, as the commands about builders have it. */
export const builderFlag = {
  builder: { kind: "string", help: "The builder: the engine of this name's context" },
} as const;

/** The name of the builder that commands use. */
export const currentBuilder = (context: CliContext) => contextName(context.env, context.overrides);

/** The context whose engine is the builder of this name. @throws NotFound */
export async function contextOfBuilder(context: CliContext, name: string | undefined): Promise<CliContext> {
  if (!name || name === currentBuilder(context)) return context;
  const { storeOf } = await import("../contexts/contexts.ts");
  if (name !== "default" && !storeOf(context).has(name))
    throw new NotFound(`no builder ${JSON.stringify(name)} found`);
  return new CliContext(context.env, { ...context.overrides, host: undefined, context: name });
}
