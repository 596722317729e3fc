/**
 * crun compiles a container's seccomp section to BPF at each start, some 10 ms for Docker's default, and leaves
 * the program in its state directory. It takes a finished program by annotation just as well, so the second
 * container of a profile gets the first one's.
 */
import { readFile } from "node:fs/promises";
import type { OciSeccomp } from "./seccomp.ts";

/** crun(1). The data is base64; the section's own rules are ignored when it's there. */
const annotation = "run.oci.seccomp_bpf_data";
/** Profiles kept; a program is some 10 kB. */
const capacity = 64;

interface Sections {
  annotations?: Record<string, string>;
  linux: { seccomp?: OciSeccomp };
}

export class CompiledFilters {
  readonly #programs = new Map<string, string>();

  /**
   * `spec` with the program in place of the rules when it's known, and else how to learn it once the container
   * has been started from `spec`.
   * @param stateDirectory crun's own directory of the container
   */
  apply<S extends Sections>(spec: S, stateDirectory: string): { spec: S; learn?: () => Promise<void> } {
    const { seccomp } = spec.linux;
    // A listener gets its rules from the section; a profile that is all default has nothing to compile.
    if (!seccomp?.syscalls?.length || seccomp.listenerPath) return { spec };
    const key = new Bun.CryptoHasher("sha256").update(JSON.stringify(seccomp)).digest("base64");
    const program = this.#programs.get(key);
    if (program === undefined)
      return { spec, learn: () => this.#learn(key, `${stateDirectory}/seccomp.bpf`) };
    return {
      // Without its rules the section denies everything: should crun ignore the annotation, nothing is let through.
      spec: {
        ...spec,
        annotations: { ...spec.annotations, [annotation]: program },
        linux: { ...spec.linux, seccomp: { ...seccomp, syscalls: [] } },
      },
    };
  }

  async #learn(key: string, path: string): Promise<void> {
    let program: Buffer;
    try {
      program = await readFile(path);
    } catch {
      return; // The container is gone already, or this crun keeps no such file.
    }
    // A whole number of instructions of 8 bytes.
    if (program.length === 0 || program.length % 8 !== 0) return;
    const oldest = this.#programs.size >= capacity ? this.#programs.keys().next().value : undefined;
    if (oldest !== undefined) this.#programs.delete(oldest);
    this.#programs.set(key, program.toString("base64"));
  }
}
