// Counts what a key costs, and times it by the page's own clock, from the moment at which the browser got the key.
window.cost = { keys: 0, rows: 0, requests: 0, nodes_at_once: 0, nodes_later: 0 };
const fillRow = fill;
fill = (...given) => { cost.rows += 1; fillRow(...given); };
const request = fetch;
window.fetch = (...given) => { cost.requests += 1; return request(...given); };
const sizeOf = (node) => 1 + [...node.childNodes].reduce((sum, child) => sum + sizeOf(child), 0);
const added = (records) => records.flatMap(({ addedNodes }) => [...addedNodes]).reduce((sum, node) => sum + sizeOf(node), 0);
let pace = null;
/** A key adds nodes at once, and again when the rest is loaded. */
const count = (records) => { cost[pace && !pace['rest loaded'] ? 'nodes_at_once' : 'nodes_later'] += added(records); };
const observer = new MutationObserver(count);
observer.observe(document, { subtree: true, childList: true });

const paces = [];
const note = (of, what) => { of[what] = performance.now() - of.began; };
/** Notes when the next frame is painted. */
const painted = (of, what) => requestAnimationFrame(() => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => note(of, what);
  port2.postMessage(0);
});
addEventListener('keydown', ({ timeStamp: began }) => {
  count(observer.takeRecords());
  paces.push(pace = { began });
  note(pace, 'heard');
}, true);
addEventListener('keydown', () => {
  cost.keys += 1;
  note(pace, 'row and verdict in place');
  painted(pace, 'row and verdict painted');
});
const really = showRest;
showRest = (delivery) => {
  count(observer.takeRecords());
  if (pace) note(pace, 'rest loaded');
  really(delivery);
  if (!pace) return;
  note(pace, 'rest in place');
  painted(pace, 'rest painted');
};
/** What the keys since the last call cost, and the median and the longest of their times in milliseconds. */
window.costs = () => {
  const steps = [...new Set(paces.flatMap(Object.keys))].filter((step) => step !== 'began');
  const times = steps.map((step) => {
    const sorted = paces.map((one) => one[step]).filter((time) => time !== undefined).sort((one, other) => one - other);
    return `${step} ${sorted[sorted.length >> 1].toFixed(1)} (${sorted.at(-1).toFixed(1)})`;
  });
  const counted = { ...cost };
  for (const name of Object.keys(cost)) cost[name] = 0;
  paces.length = 0;
  pace = null;
  return { ...counted, times: times.join(', ') };
};
