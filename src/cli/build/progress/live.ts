/** Progress on a terminal: one picture of the build, drawn again in its place as the build goes on. */
import type { SolveStatus } from "../../../api/types.ts";
import { renderFrame } from "./frame.ts";
import { BuildView, warningList } from "./view.ts";

/** Milliseconds between two pictures. */
const pace = 100;

const hideCursor = "\x1b[?25l";
const showCursor = "\x1b[?25h";
/** The lines of a picture must not break where a terminal's width has just changed. */
const noWrap = "\x1b[?7l";
const wrap = "\x1b[?7h";

export interface Screen {
  write(text: string): void;
  size(): { columns: number; rows: number };
  colour: boolean;
}

export class LiveProgress {
  readonly #view = new BuildView();
  readonly #began = Date.now();
  readonly #timer: Timer;
  #height = 0;

  constructor(private readonly screen: Screen) {
    screen.write(hideCursor);
    this.#timer = setInterval(() => this.#draw(), pace);
    process.on("SIGINT", this.#interrupted);
  }

  show(status: SolveStatus): void {
    this.#view.apply(status);
  }

  end(ok: boolean): void {
    clearInterval(this.#timer);
    process.off("SIGINT", this.#interrupted);
    this.#draw(ok ? "finished" : "failed");
    this.screen.write(`${showCursor}${warningList(this.#view.warnings)}`);
  }

  readonly #interrupted = () => {
    this.#draw("failed");
    this.screen.write(showCursor);
    process.exit(130);
  };

  #draw(ended?: "finished" | "failed"): void {
    const { colour } = this.screen;
    const lines = renderFrame(this.#view, {
      ...this.screen.size(),
      now: Date.now(),
      began: this.#began,
      colour,
      ended,
    });
    const back = this.#height > 0 ? `\x1b[${this.#height}A` : "";
    this.#height = lines.length;
    this.screen.write(`${noWrap}${back}\r\x1b[J${lines.map((line) => `${line}\n`).join("")}${wrap}`);
  }
}
