/** Random numbers that are the same for the same seed (mulberry32). */
export function randomNumbers(seed: number) {
  let state = seed;
  const below = (limit: number): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
  const pick = <T>(...choices: [T, ...T[]]): T => choices[below(choices.length)] ?? choices[0];
  return { below, pick };
}

export type Random = ReturnType<typeof randomNumbers>;
