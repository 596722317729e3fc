/** What both sides of a session's content service agree on. */

/** The header that says which of a client's directories is meant. */
export const storeHeader = "buildkit-attachable-store-id";

/** Bytes of a message: well below what gRPC takes by default (4 MiB). */
export const pieceSize = 1 << 20;
