/** Sizes for people, in the words of Docker's go-units. */

/** `1.24MB`: powers of 1000. */
export function humanSize(bytes: number, digits = 4): string {
  return scaled(bytes, 1000, ["B", "kB", "MB", "GB", "TB", "PB", "EB"], digits);
}

/** `1.24MiB`: powers of 1024. */
export function bytesSize(bytes: number): string {
  return scaled(bytes, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"], 4);
}

function scaled(bytes: number, base: number, units: string[], digits: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= base && unit < units.length - 1) {
    value /= base;
    unit++;
  }
  return `${general(value, digits)}${units[unit]}`;
}

/** C's `%.<digits>g`. */
export function general(value: number, digits: number): string {
  if (value === 0) return "0";
  // Where both write the number out, the short way: a list has hundreds.
  const plain = value >= 1 ? value.toPrecision(digits) : "e";
  if (!plain.includes("e")) return plain.includes(".") ? withoutZeros(plain) : plain;
  const [mantissa = "", exponent = "0"] = value.toExponential(digits - 1).split("e");
  const power = Number(exponent);
  const strip = (text: string) => (text.includes(".") ? withoutZeros(text) : text);
  if (power < -4 || power >= digits) {
    return `${strip(mantissa)}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  return strip(value.toFixed(Math.max(0, digits - 1 - power)));
}

/** A number with a point, without the zeros at its end. */
function withoutZeros(text: string): string {
  let end = text.length;
  while (text[end - 1] === "0") end--;
  return text.slice(0, text[end - 1] === "." ? end - 1 : end);
}
