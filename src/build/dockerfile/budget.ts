import { ExpandError, type Lookup } from "./expand.ts";

/** Characters that variables may come to in all of one file. */
const limit = 8 * 1024 * 1024;

/** Holds back variables that are made of one another: each may double the one before, and forty are too much. */
export class Budget {
  #left = limit;

  /** The same variables, until they have come to too much. The lookup throws ExpandError then. */
  limit(lookup: Lookup): Lookup {
    return (name) => {
      const value = lookup(name);
      this.#left -= value?.length ?? 0;
      if (this.#left < 0)
        throw new ExpandError(`the variables come to more than ${limit} characters: too long`);
      return value;
    };
  }
}
