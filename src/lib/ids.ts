import { randomBytes, randomInt } from "node:crypto";

/** 64 random hex digits, as Docker's ids of containers, networks and execs; never all digits in the first twelve. */
export function newId(): string {
  for (;;) {
    const id = randomBytes(32).toString("hex");
    // A short id of digits only would be read as a number by tools, e.g. as a host name.
    if (/\D/.test(id.slice(0, 12))) return id;
  }
}

/** The twelve digits that people see. */
export function shortId(id: string): string {
  return id.replace(/^sha256:/, "").slice(0, 12);
}

const adjectives =
  "amber bold brave bright brisk calm careful cheerful clever cool curious daring eager easy epic fair fine fond free fresh gentle glad golden grand great happy honest humble jolly keen kind lively loyal lucid lucky mellow merry mighty modest neat nimble noble patient plucky polite proud quick quiet ready serene sharp shiny silent sincere sleek smart snappy solid spry steady stoic sunny sure sweet swift tidy tough true upbeat vivid warm wise witty zealous zen".split(
    " ",
  );
const surnames =
  "archimedes babbage banach bardeen bell bhabha blackwell bohr boyd brown cannon carson cerf chandrasekhar church cori curie darwin davinci dijkstra easley einstein elion engelbart euclid euler faraday feistel fermat fermi feynman franklin galileo galois gates gauss germain goldberg goodall hamilton haslett hawking heisenberg hellman hermann herschel hertz hodgkin hopper hugle hypatia ishizaka jackson johnson kalam kare keller kepler khorana kilby kirch knuth kowalevski lalande lamarr lamport leakey leavitt lederberg lehmann lichterman liskov lovelace lumiere mahavira mayer mccarthy mcclintock meitner mendel mendeleev mestorf minsky mirzakhani moore morse murdock napier nash neumann newton nightingale nobel noether noyce panini pare pascal pasteur payne perlman pike poincare ptolemy raman ramanujan ride ritchie rosalind rubin saha sammet shannon shaw shockley sinoussi snyder spence stallman swanson swartz swirles tesla thompson torvalds turing varahamihira vaughan villani volhard wescoff wiles williams wilson wing wozniak wright yalow yonath".split(
    " ",
  );

/** `brave_lovelace`; on a later try with a digit behind it. */
export function randomName(attempt = 0): string {
  const pick = (words: string[]) => words[randomInt(words.length)]!;
  return `${pick(adjectives)}_${pick(surnames)}${attempt > 0 ? randomInt(10) : ""}`;
}
