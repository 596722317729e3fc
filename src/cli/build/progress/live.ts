/** Progress on a terminal: one picture of the build, drawn again in its place as the build goes on. */
import type { SolveStatus } from "../../../api/types.ts";
import { Picture } from "../../../lib/picture.ts";
import { renderFrame } from "./frame.ts";
import { BuildView, warningList } from "./view.ts";

/** Milliseconds between two pictures. */
const pace = 100;

const hideCursor = "\x1b[?25l";
const showCursor = "\x1b[?25h";

export interface Screen {
  write(text: string): void;
  size(): { columns: number; rows: number };
  colour: boolean;
}

export class LiveProgress {
  readonly #view = new BuildView();
  readonly #began = Date.now();
  readonly #timer: Timer;
  readonly #picture: Picture;

  constructor(private readonly screen: Screen) {
    this.#picture = new Picture((text) => screen.write(text));
    screen.write(hideCursor);
    this.#timer = setInterval(() => this.#draw(), pace);
  }

  show(status: SolveStatus): void {
    this.#view.apply(status);
  }

  end(ok: boolean): void {
    clearInterval(this.#timer);
    this.#draw(ok ? "finished" : "failed");
    this.screen.write(`${showCursor}${warningList(this.#view.warnings)}`);
  }

  #draw(ended?: "finished" | "failed"): void {
    const { colour } = this.screen;
    const size = this.screen.size();
    const times = { now: Date.now(), began: this.#began };
    this.#picture.draw(renderFrame(this.#view, { ...size, ...times, colour, ended }), size.columns);
  }
}
