/** `WWW-Authenticate` (RFC 9110, 11.6.1). */
export interface Challenge {
  /** Lower case. */
  scheme: string;
  /** Names in lower case. */
  parameters: Record<string, string>;
}

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const parameterPattern = new RegExp(`\\s*(${token})\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|(${token}))`, "y");
const schemePattern = new RegExp(`[\\s,]*(${token})(?=\\s|,|$)`, "y");
const commaPattern = /\s*,/y;

/** Reads every challenge; stops at the first text that is none. */
export function parseChallenges(header: string | null): Challenge[] {
  const text = header ?? "";
  const challenges: Challenge[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match) at = pattern.lastIndex;
    return match;
  };
  for (;;) {
    const scheme = take(schemePattern);
    if (!scheme) return challenges;
    const parameters: Record<string, string> = {};
    for (let more = true; more; ) {
      const parameter = take(parameterPattern);
      if (!parameter) break;
      const value = parameter[2]?.replace(/\\(.)/g, "$1") ?? parameter[3] ?? "";
      parameters[parameter[1]!.toLowerCase()] = value;
      // After a comma comes another parameter, or the next challenge.
      const before = at;
      more = take(commaPattern) !== null;
      if (more && !nextIsParameter()) {
        at = before;
        more = false;
      }
    }
    challenges.push({ scheme: scheme[1]!.toLowerCase(), parameters });
  }

  function nextIsParameter(): boolean {
    parameterPattern.lastIndex = at;
    return parameterPattern.test(text);
  }
}
