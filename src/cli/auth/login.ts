/** `login` and `logout`: what a registry is told, and where it is kept. */
import { InvalidParameter, Unauthorized } from "../../lib/errors.ts";
import { between, defineCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { isTerminal, stdinFd } from "../terminal.ts";
import {
  type Credentials,
  credentialsOf,
  eraseCredentials,
  hubAddress,
  storeCredentials,
} from "./credentials.ts";

/** The key of what the user calls a registry: its host; nothing is Docker Hub. */
export function registryKey(server: string | undefined): string {
  const host = (server ?? "").replace(/^https?:\/\//, "").split("/", 1)[0]!;
  return ["", "docker.io", "index.docker.io", "registry-1.docker.io"].includes(host) ? hubAddress : host;
}

export const login = defineCommand({
  name: "login",
  usage: "[OPTIONS] [SERVER]",
  summary: "Authenticate to a registry; Docker Hub if no server is specified",
  flags: {
    password: {
      kind: "string",
      short: "p",
      help: "Password or access token; seen by others, see --password-stdin",
    },
    "password-stdin": { kind: "bool", help: "Read the password from stdin" },
    username: { kind: "string", short: "u", help: "User name" },
  },
  arity: between(0, 1),
  examples: ["login reg.example:5000", "login -u ci --password-stdin reg.example < token"],
  async run(context, { flags, args: [server] }) {
    const address = registryKey(server);
    if (flags.password !== undefined && flags["password-stdin"])
      throw new InvalidParameter("conflicting options: cannot specify both --password and --password-stdin");
    if (flags["password-stdin"] && !flags.username)
      throw new InvalidParameter("the --password-stdin option requires --username to be set");
    if (flags.password !== undefined)
      context.err("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n");
    const known = await credentialsOf(context, address);
    const wantsKnown = flags.username === undefined && flags.password === undefined;
    if (wantsKnown && (known.username ?? known.identitytoken) !== undefined) {
      context.err(
        `Authenticating with existing credentials...${known.username ? ` [Username: ${known.username}]` : ""}\n\n`,
      );
      try {
        context.line((await authenticate(context, known)).Status);
        return 0;
      } catch (error) {
        if (!(error instanceof Unauthorized) || !isTerminal(stdinFd)) throw error;
        context.err(`Login did not succeed, error: ${error.message}\n`);
      }
    }
    const credentials = await ask(context, address, flags, known);
    const { Status, IdentityToken } = await authenticate(context, credentials);
    const warning = await storeCredentials(
      context,
      IdentityToken
        ? { username: credentials.username, identitytoken: IdentityToken, serveraddress: address }
        : credentials,
    );
    if (warning !== undefined) context.err(`\n${warning}\n\n`);
    context.line(Status || "Login Succeeded");
    return 0;
  },
});

async function authenticate(context: CliContext, credentials: Credentials) {
  return context.client.call<{ Status: string; IdentityToken?: string }>("POST", "/auth", {
    body: credentials,
  });
}

/** What the flags leave open is asked for at the terminal. */
async function ask(
  context: CliContext,
  address: string,
  flags: { username: string | undefined; password: string | undefined; "password-stdin": boolean },
  known: Credentials,
): Promise<Credentials> {
  const fromStdin = flags["password-stdin"] ? (await Bun.stdin.text()).replace(/\r?\n$/, "") : undefined;
  const given = fromStdin ?? flags.password;
  if ((flags.username === undefined || given === undefined) && !isTerminal(stdinFd))
    throw new InvalidParameter("cannot perform an interactive login from a non-TTY device");
  const hint = known.username ? ` (${known.username})` : "";
  const username = flags.username ?? ((prompt(`Username${hint}:`) ?? "").trim() || known.username);
  if (!username) throw new InvalidParameter("username is required");
  const password = given ?? (await readHidden(context, "Password: "));
  if (password === "") throw new InvalidParameter("password is required");
  return { username, password, serveraddress: address };
}

/** A line from the terminal that isn't shown. */
async function readHidden(context: CliContext, question: string): Promise<string> {
  context.err(question);
  const input = process.stdin;
  input.setRawMode(true);
  try {
    let text = "";
    for await (const chunk of input) {
      for (const char of String(chunk)) {
        if (char === "\r" || char === "\n") return text;
        if (char === "\x03" || char === "\x04") throw new InvalidParameter("cancelled");
        text = char === "\x7f" || char === "\b" ? text.slice(0, -1) : text + char;
      }
    }
    return text;
  } finally {
    input.setRawMode(false);
    context.err("\n");
  }
}

export const logout = defineCommand({
  name: "logout",
  usage: "[SERVER]",
  summary: "Log out from a registry; Docker Hub if no server is specified",
  flags: {},
  arity: between(0, 1),
  examples: ["logout reg.example:5000"],
  async run(context, { args: [server] }) {
    const address = registryKey(server);
    context.line(`Removing login credentials for ${address}`);
    await eraseCredentials(context, address);
    return 0;
  },
});
