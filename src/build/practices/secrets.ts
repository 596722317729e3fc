/** Secrets that are written in the file itself; names of secrets are a build check (SecretsUsedInArgOrEnv). */
import { filePractice } from "./practice.ts";
import { spanOf } from "./source.ts";

const forms: [what: string, RegExp][] = [
  ["a private key", /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----/],
  ["a key of AWS", /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/],
  ["a token of GitHub", /\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bgithub_pat_\w{22,}/],
  ["a token of GitLab", /\bglpat-[\w-]{20,}/],
  ["a token of npm", /\bnpm_[A-Za-z0-9]{36}\b/],
  ["a token of Slack", /\bxox[abprs]-[\w-]{10,}/],
  ["a password in a URL", /\b[a-z][a-z0-9+.-]*:\/\/[^\s/:@$]+:[^\s/@$]+@/i],
];

export const writtenSecret = filePractice(
  {
    name: "SecretInFile",
    severity: "error",
    description: "Whoever has the image has the secret, also when a later layer removes it",
    advice: "take it back where it was issued, and give secrets by RUN --mount=type=secret",
  },
  function* (dockerfile) {
    for (const instruction of dockerfile.instructions) {
      const { text } = spanOf(dockerfile, instruction);
      const found = forms.find(([, pattern]) => pattern.test(text));
      if (found) yield { range: instruction.range, detail: `${instruction.kind} has ${found[0]} in it` };
    }
  },
);
