/** Why a step has to be done: its inputs by name, held against those of the nearest earlier time. */
import type { Store, Table } from "../../store/types.ts";
import type { Stage } from "../graph/stages.ts";
import type { BuildRequest, RebuildReason } from "../types.ts";
import { differences, type NamedInput } from "./inputs.ts";
import { keyOf } from "./key.ts";

/** Which step of which build: what makes the steps of two builds "the same". */
export interface StepPlace {
  /** Repository of the first tag; builds without a tag are one project. */
  project: string;
  /** Its name, else its number. */
  stage: string;
  /** The instruction's keyword. */
  keyword: string;
  /** Among the stage's instructions. */
  position: string;
  /** The instruction as written. */
  text: string;
}

/** What steps of the same text were made from, latest first. Times in milliseconds since the epoch. */
interface TextRow {
  key: string;
  at: number;
  variants: NamedInput[][];
}

/** Keys of the texts that stood at one place, latest first. */
interface PlaceRow {
  key: string;
  at: number;
  texts: string[];
}

const keptVariants = 4;
const keptRows = 1000;

export class Explanations {
  readonly #texts: Table<TextRow>;
  readonly #places: Table<PlaceRow>;
  readonly #secret: string;
  #pending: { place: StepPlace; inputs: NamedInput[] }[] = [];

  constructor(
    private readonly store: Store,
    private readonly now: () => number,
  ) {
    this.#texts = store.metadata.table("build_step_texts");
    this.#places = store.metadata.table("build_step_places");
    const secrets = store.metadata.table<{ secret: string }>("build_step_secret");
    const { secret } = secrets.get("") ?? { secret: crypto.randomUUID() };
    secrets.put("", { secret });
    this.#secret = secret;
  }

  /** A keyed digest: an argument may be a password, and its plain digest could be guessed. */
  readonly digest = (value: string): string =>
    new Bun.CryptoHasher("sha256", this.#secret).update(value).digest("hex").slice(0, 16);

  /** What differs from that earlier time which differs least; empty: nothing does. */
  reasons(place: StepPlace, inputs: NamedInput[]): RebuildReason[] {
    const earlier = this.#earlier(place);
    if (earlier.length === 0) return [{ kind: "new", name: place.text, change: "not built before" }];
    const all = earlier.map((variant) => differences(variant, inputs));
    return all.reduce((nearest, other) => (other.length < nearest.length ? other : nearest));
  }

  /** Keeps the inputs of a step that is done; written by `flush`. */
  remember(place: StepPlace, inputs: NamedInput[]): void {
    this.#pending.push({ place, inputs });
  }

  flush(): void {
    const pending = this.#pending;
    if (pending.length === 0) return;
    this.#pending = [];
    this.store.metadata.transaction(() => {
      for (const { place, inputs } of pending) this.#write(place, inputs);
    });
  }

  /** Forgets the steps that were not done for the longest time, beyond a fixed number. */
  collect(): void {
    for (const table of [this.#texts, this.#places] as Table<{ key: string; at: number }>[]) {
      const rows = table.list().sort((a, b) => b.at - a.at);
      for (const { key } of rows.slice(keptRows)) table.delete(key);
    }
  }

  /** By the text; when it was changed, by the place. */
  #earlier(place: StepPlace): NamedInput[][] {
    const same = this.#texts.get(textKey(place));
    if (same) return same.variants;
    const texts = this.#places.get(placeKey(place))?.texts ?? [];
    return texts.flatMap((key) => this.#texts.get(key)?.variants ?? []);
  }

  #write(place: StepPlace, inputs: NamedInput[]): void {
    const at = this.now();
    const key = textKey(place);
    const known = this.#texts.get(key)?.variants ?? [];
    const before = known.filter((variant) => differences(variant, inputs).length > 0);
    this.#texts.put(key, { key, at, variants: [inputs, ...before].slice(0, keptVariants) });
    const spot = placeKey(place);
    const others = (this.#places.get(spot)?.texts ?? []).filter((other) => other !== key);
    this.#places.put(spot, { key: spot, at, texts: [key, ...others].slice(0, keptVariants) });
  }
}

/** Which step this is, whatever its inputs are now. */
export function placeOf(
  { tags: [tag = ""] }: BuildRequest,
  stage: Stage,
  keyword: string,
  position: string,
  text: string,
): StepPlace {
  const project = tag.replace(/:[^/:]*$/, "");
  return { project, stage: stage.name ?? `${stage.index}`, keyword, position, text };
}

function textKey({ project, stage, text }: StepPlace): string {
  return keyOf("text", project, stage, text);
}

function placeKey({ project, stage, keyword, position }: StepPlace): string {
  return keyOf("place", project, stage, keyword, position);
}
