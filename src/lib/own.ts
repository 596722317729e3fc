/** A table's entry under a name that comes from outside: `constructor` and `__proto__` are no entries. */
export function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
