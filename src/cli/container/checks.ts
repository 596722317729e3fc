/** What the values of some flags must be, in Docker's words: each is checked while it is read. */
import { InvalidParameter } from "../../lib/errors.ts";

/** Whether the text is an address, v4 or v6. */
export function isAddress(text: string): boolean {
  const v4 = /^\d{1,3}(\.\d{1,3}){3}$/.test(text) && text.split(".").every((part) => Number(part) <= 255);
  // Not by node:net, which takes longer to load than the command itself.
  return v4 || (text.includes(":") && URL.canParse(`http://[${text}]`));
}

/** @throws InvalidParameter for what is no address, v4 or v6 */
export function checkAddress(text: string): void {
  if (!isAddress(text)) throw new InvalidParameter(`IP address is not correctly formatted: ${text}`);
}

/** @throws InvalidParameter for a label without a name */
export function checkLabel(text: string): void {
  if (text.split("=", 1)[0]?.trim() === "") throw new InvalidParameter(`invalid label '${text}': empty name`);
}

/** Those that belong to a namespace, and not to the host. */
const namespaced = new Set(
  ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"].map(
    (name) => `kernel.${name}`,
  ),
);

/** @throws InvalidParameter for what would change the host */
export function checkSysctl(text: string): void {
  const [name = "", value] = text.split(/=(.*)/s);
  if (value === undefined || !(namespaced.has(name) || /^(net|fs\.mqueue)\./.test(name)))
    throw new InvalidParameter(`sysctl '${text}' is not allowed`);
}
