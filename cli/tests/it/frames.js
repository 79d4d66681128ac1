// Counts what the page draws, and how long its frames and tasks take.
window.drawn = { rows: 0 };
const fillRow = fill;
fill = (row, delivery) => { drawn.rows += 1; fillRow(row, delivery); };
// What the page's own work takes, each call of it.
const work = {};
const timed = (name, call) => (...given) => {
  const began = performance.now();
  const result = call(...given);
  (work[name] ??= []).push(performance.now() - began);
  return result;
};
take = timed('take', take);
renderList = timed('renderList', renderList);
showVerdict = timed('showVerdict', showVerdict);
showRest = timed('showRest', showRest);
const gaps = [];
const long = [];
new PerformanceObserver((list) => long.push(...list.getEntries().map((entry) => Math.round(entry.duration)))).observe({ type: 'longtask' });
let last = performance.now();
const tick = (now) => { gaps.push(now - last); last = now; requestAnimationFrame(tick); };
requestAnimationFrame(tick);
window.frames = () => {
  const sorted = gaps.slice().sort((one, other) => one - other);
  const at = (share) => Math.round(sorted[Math.floor(sorted.length * share)] * 10) / 10;
  return JSON.stringify({ frames: sorted.length, median_ms: at(0.5), p99_ms: at(0.99), longest_ms: at(1 - 1e-9), tasks_over_50_ms: long,
    work: Object.fromEntries(Object.entries(work).map(([name, times]) => {
      times.sort((one, other) => one - other);
      return [name, [times.length, times[times.length >> 1], times.at(-1)].map((time) => Math.round(time * 10) / 10)];
    })),
  });
};
