/** Shapes of the API that both of its sides share. Types alone: nothing is loaded for them. */

/**
 * A piece of a build's progress, as BuildKit's clients write it with `--progress rawjson` (client.SolveStatus). The
 * engine sends it as `{"progress": …}` in the stream of `POST /build?progress=1`. Times are RFC 3339.
 */
export interface SolveStatus {
  vertexes?: SolveVertex[];
  statuses?: VertexStatus[];
  logs?: VertexLog[];
  warnings?: VertexWarning[];
}

export interface SolveVertex {
  /** Names the vertex within its build. */
  digest: string;
  name: string;
  started?: string;
  completed?: string;
  cached?: boolean;
  error?: string;
}

/** Part of a vertex's work, with bytes that are on their way. */
export interface VertexStatus {
  id: string;
  vertex: string;
  name: string;
  current: number;
  total?: number;
  timestamp: string;
  started: string;
  completed?: string;
}

export interface VertexLog {
  vertex: string;
  stream: number;
  /** Base64. */
  data: string;
  timestamp: string;
}

export interface VertexWarning {
  vertex: string;
  level: number;
  /** Base64. */
  short: string;
  url?: string;
  range?: { start: { line: number }; end: { line: number } }[];
}
