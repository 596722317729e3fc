/** Property tests draw the same values in every run: what passes passes again. GANTRY_TEST_SEED=NUMBER draws others. */
import fc from "fast-check";

fc.configureGlobal({ seed: Number(process.env.GANTRY_TEST_SEED ?? 1) });
