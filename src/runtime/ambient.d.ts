/** Files imported `with { type: "file" }`: the value is their path. */
declare module "*/gantry-monitor" {
  const path: string;
  export default path;
}

/** ECMAScript's "JSON.parse source text access", which Bun has and TypeScript's library not yet. */
interface JSON {
  rawJSON(text: string): object;
}
