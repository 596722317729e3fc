/** nftables through libnftables(3): a command text is one transaction, which happens whole or not at all. */
import { CString, dlopen, type Pointer } from "bun:ffi";
import { Internal } from "../lib/errors.ts";
import { cstring } from "./libc.ts";

const NFT_CTX_OUTPUT_HANDLE = 1 << 3;
const NFT_CTX_OUTPUT_JSON = 1 << 4;

function openLibrary() {
  return dlopen("libnftables.so.1", {
    nft_ctx_new: { args: ["u32"], returns: "ptr" },
    nft_ctx_free: { args: ["ptr"], returns: "void" },
    nft_ctx_buffer_output: { args: ["ptr"], returns: "i32" },
    nft_ctx_buffer_error: { args: ["ptr"], returns: "i32" },
    nft_ctx_get_output_buffer: { args: ["ptr"], returns: "ptr" },
    nft_ctx_get_error_buffer: { args: ["ptr"], returns: "ptr" },
    nft_ctx_output_set_flags: { args: ["ptr", "u32"], returns: "void" },
    nft_run_cmd_from_buffer: { args: ["ptr", "ptr"], returns: "i32" },
  }).symbols;
}

type Address = Pointer | bigint;

/** A transaction that the kernel or the parser refused. */
export class NftError extends Internal {
  constructor(
    readonly commands: string,
    readonly reason: string,
  ) {
    super(`nftables: ${reason.trim().split("\n")[0] ?? "failed"}`);
  }
}

/** A context of the library, bound to the network namespace it was opened in. */
export class Nft implements Disposable {
  readonly #library = openLibrary();
  readonly #context: Address;

  constructor() {
    const context = this.#library.nft_ctx_new(0);
    if (context === null) throw new Internal("nftables: no context");
    this.#context = context;
    this.#library.nft_ctx_buffer_output(context);
    this.#library.nft_ctx_buffer_error(context);
    this.#library.nft_ctx_output_set_flags(context, NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_HANDLE);
  }

  [Symbol.dispose](): void {
    this.#library.nft_ctx_free(this.#context);
  }

  /**
   * Runs commands as one transaction.
   * @returns what they print, as JSON text (libnftables-json(5)); empty when they print nothing
   * @throws NftError; nothing has changed then
   */
  run(commands: string): string {
    const failed = this.#library.nft_run_cmd_from_buffer(this.#context, cstring(commands)) !== 0;
    const output = this.#take(this.#library.nft_ctx_get_output_buffer(this.#context));
    const errors = this.#take(this.#library.nft_ctx_get_error_buffer(this.#context));
    if (failed) throw new NftError(commands, errors);
    return output;
  }

  /** Runs what may find its objects missing or there already. @returns whether it happened */
  attempt(commands: string): boolean {
    try {
      this.run(commands);
      return true;
    } catch (error) {
      if (error instanceof NftError) return false;
      throw error;
    }
  }

  #take(text: Address | null): string {
    return text === null ? "" : new CString(text).toString();
  }
}
