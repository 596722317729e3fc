/** How to call ourselves: the compiled executable, or bun with the entry file. */
export function ownCommand(main: string, execPath: string): string[] {
  return main.startsWith("/$bunfs/") ? [execPath] : [execPath, main];
}
