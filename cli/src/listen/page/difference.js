// ---- Where two texts differ.

/** The most characters that one difference spans before the rest counts as different. */
const APART = 160;
/** The most comparisons that the search for all differences may take. */
const WORK = 4_000_000;

/** The parts of each text that the other does not have, and how many differences there are. It takes linear time. */
function difference(one, other) {
  const parts = [[], []];
  let [i, j, count, work] = [0, 0, 0, 0];
  /** How far the texts have to go from here to be alike again. */
  const apart = () => {
    const white = [one, other].map((text, at) => {
      let end = at ? j : i;
      while (/\s/.test(text.charAt(end))) end += 1;
      return end - (at ? j : i);
    });
    if (white[0] + white[1] > 0 && one[i + white[0]] === other[j + white[1]]) return white;
    for (let sum = 1; sum <= APART && work < WORK; sum += 1) {
      for (let of = 0; of <= sum; of += 1) {
        work += 1;
        const [a, b] = [i + of, j + sum - of];
        if (a > one.length || b > other.length || one[a] !== other[b]) continue;
        const next = one.slice(a, a + 6);
        if (other.startsWith(next, b) && (next.length === 6 || a + next.length === one.length)) return [of, sum - of];
      }
    }
    return [one.length - i, other.length - j];
  };
  while (i < one.length || j < other.length) {
    if (one[i] === other[j]) { i += 1; j += 1; continue; }
    const [a, b] = apart();
    count += 1;
    if (a) parts[0].push([i, i + a]);
    if (b) parts[1].push([j, j + b]);
    i += a;
    j += b;
  }
  const isWhite = [one, other].every((text, at) => parts[at].every(([start, end]) => !text.slice(start, end).trim()));
  return { parts, count, isWhite, work };
}
