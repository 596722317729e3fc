/** The name people call. */
export const program = "gantry";
export const version = "0.1.0";
