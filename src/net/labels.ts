/**
 * Whose link is it? Each link of ours carries `gantry:<instance>:<id>` as its alias, so that daemons side by side
 * and a daemon after a crash know their own.
 */
export class Labels {
  readonly #prefix: string;
  constructor(instance: string) {
    this.#prefix = `gantry:${instance}:`;
  }

  /** Alias of the link that stands for a network or an endpoint. */
  of(id: string): string {
    return this.#prefix + id;
  }

  /** Id in an alias of this daemon; undefined: somebody else's link. */
  idOf(alias: string): string | undefined {
    return alias.startsWith(this.#prefix) ? alias.slice(this.#prefix.length) : undefined;
  }
}
