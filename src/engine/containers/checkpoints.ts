/** The saved states of a container's processes: a directory each, below the container's own or where the user says. */
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { Conflict, InvalidParameter, NotFound } from "../../lib/errors.ts";
import { type Context, paths } from "../context.ts";
import type { CheckpointPlace, ContainerRecord } from "../types.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { Container, ContainerTable } from "./table.ts";

/** Docker's pattern of names that are told apart by the file system. */
const nameChars = "[a-zA-Z0-9][a-zA-Z0-9_.-]";

export class Checkpoints {
  constructor(
    private readonly context: Context,
    private readonly table: ContainerTable,
    private readonly lifecycle: Lifecycle,
  ) {}

  /**
   * @param exit ends the container with it
   * @throws NotImplemented without CRIU, Conflict, InvalidParameter
   */
  async create(target: string, place: CheckpointPlace, exit: boolean): Promise<void> {
    const container = this.table.find(target);
    const { record } = container;
    if (record.config.Tty) throw new InvalidParameter("checkpoint not support on containers with tty");
    const directory = this.#directory(record, place);
    if (existsSync(directory))
      throw new Conflict(
        `cannot checkpoint container ${record.name}: checkpoint with name ${place.name} already exists for container ${record.name}`,
      );
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    try {
      await this.lifecycle.checkpoint(container, directory, exit);
    } catch (error) {
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** Names. */
  list(target: string, parent: string): string[] {
    const directory = this.#parent(this.table.find(target).record, parent);
    if (!existsSync(directory)) return [];
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .sort();
  }

  remove(target: string, place: CheckpointPlace): void {
    rmSync(this.find(this.table.find(target), place), { recursive: true });
  }

  /** Where it is. @throws NotFound */
  find({ record }: Container, place: CheckpointPlace): string {
    const directory = this.#directory(record, place);
    if (!existsSync(directory) || !statSync(directory).isDirectory())
      throw new NotFound(`checkpoint ${place.name} does not exist for container ${record.name}`);
    return directory;
  }

  #parent(record: ContainerRecord, parent: string): string {
    if (parent !== "" && !isAbsolute(parent))
      throw new InvalidParameter(`the checkpoint directory ${parent} is not an absolute path`);
    return parent || join(paths.containerData(this.context.options, record.id), "checkpoints");
  }

  #directory(record: ContainerRecord, { name, parent }: CheckpointPlace): string {
    if (!new RegExp(`^${nameChars}+$`).test(name))
      throw new InvalidParameter(`Invalid checkpoint ID (${name}), only ${nameChars} are allowed`);
    return join(this.#parent(record, parent), name);
  }
}
