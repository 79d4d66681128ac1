// ---- Text in a `pre`, with its hidden characters, its white space and its colours.

const highlights = {};
if (window.Highlight && CSS.highlights) {
  for (const name of ['string', 'number', 'name', 'literal', 'white', 'hidden', 'differs']) CSS.highlights.set(name, highlights[name] = new Highlight());
  highlights.differs.priority = 2;
  highlights.hidden.priority = 1;
}

const WHITE = { ' ': '·', '\t': '→\t', '\n': '↵\n' };
const byteOf = (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;

/**
 * Shows a text without markup, from a place on and up to a length. `form` is 'json', 'text' or 'bytes', of which each
 * character is a byte. `marks` are the parts that differ, in which white space is always shown.
 */
function show(pre, whole, { form = 'text', white = false, marks = [], after = '', from = 0, length = Infinity } = {}) {
  const text = whole.slice(from, from + length);
  const ranges = { hidden: [], white: [], differs: [] };
  const special = new RegExp(form === 'bytes' ? '[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u00ff]' : HIDDEN.source, 'g');
  const all = new RegExp(`${special.source}|[ \\t\\n]`, 'g');
  let shown = '';
  const add = (piece, isMarked) => {
    const start = shown.length;
    let last = 0;
    for (const { 0: character, index } of piece.matchAll(white || isMarked ? all : special)) {
      shown += piece.slice(last, index);
      const drawn = WHITE[character] ?? (form === 'bytes' ? byteOf : escaped)(character);
      ranges[WHITE[character] ? 'white' : 'hidden'].push([shown.length, shown.length + drawn.trimEnd().length]);
      shown += drawn;
      last = index + character.length;
    }
    shown += piece.slice(last);
    if (isMarked) ranges.differs.push([start, shown.length]);
  };
  let done = 0;
  for (const [start, end] of marks.map((mark) => mark.map((at) => Math.min(text.length, Math.max(0, at - from))))) {
    add(text.slice(done, start), false);
    if (start < end) add(text.slice(start, end), true);
    done = end;
  }
  add(text.slice(done), false);
  // From the middle of a text, it cannot be told what is in a string.
  if (form === 'json' && from === 0) Object.assign(ranges, partsOf(shown));
  const nodes = fold(pre, shown + (after ? `\n${after}` : ''));
  for (const [name, found] of Object.entries(ranges)) colour(highlights[name], nodes, found);
}

/** The most long lines that keep their indent when they are broken. */
const FOLDED = 1_000;

/**
 * Fills a `pre`. Of a long line, what does not fit on it keeps the line's indent. Such a line is a block, whose end stands
 * for its line end: a copied text has no line end twice. Returns the text nodes with their starts.
 */
function fold(pre, text) {
  const nodes = [];
  const children = [];
  const add = (start, end, indent) => {
    if (start === end) return;
    const node = document.createTextNode(text.slice(start, end));
    nodes.push([start, node]);
    if (!indent) return children.push(node);
    const line = element('span', { class: 'long' }, node);
    line.style.setProperty('--indent', `${indent + 2}ch`);
    children.push(line);
  };
  let done = 0;
  let count = 0;
  for (const { 0: line, 1: indent, index } of text.matchAll(/^((?:[ ·]|→?\t)+)[^\n]{30,}/gm)) {
    if ((count += 1) > FOLDED) break;
    // An empty line before it stays.
    const isBeside = index - 2 >= done && text[index - 2] !== '\n';
    add(done, isBeside ? index - 1 : index);
    done = index + line.length;
    add(index, done, indent.replace(/→?\t/g, '  ').length);
    if (text[done] === '\n') done += 1;
  }
  add(done, text.length);
  pre.replaceChildren(...children);
  return nodes;
}

function colour(highlight, nodes, ranges) {
  if (!highlight) return;
  for (const old of [...highlight]) if (!old.startContainer.isConnected) highlight.delete(old);
  let at = 0;
  const place = (offset, isEnd) => {
    while (at + 1 < nodes.length && (isEnd ? nodes[at + 1][0] < offset : nodes[at + 1][0] <= offset)) at += 1;
    return [nodes[at][1], Math.min(nodes[at][1].length, offset - nodes[at][0])];
  };
  for (const [start, end] of ranges) {
    const [startContainer, startOffset] = place(start, false);
    const [endContainer, endOffset] = place(end, true);
    highlight.add(new StaticRange({ startContainer, startOffset, endContainer, endOffset }));
  }
}

function partsOf(text) {
  const parts = { string: [], number: [], name: [], literal: [] };
  const token = /("(?:[^"\\]|\\[^])*(?:"|\\?$))(\s*:)?|-?\d[\d.eE+-]*|\b(?:true|false|null)\b/g;
  // A string may end at the cut: otherwise each of its quotes would begin a search.
  const colourful = text.slice(0, 40_000);
  for (let found; (found = token.exec(colourful));) {
    const [whole, string, colon] = found;
    const kind = string ? (colon ? 'name' : 'string') : /^[tfn]/.test(whole) ? 'literal' : 'number';
    parts[kind].push([found.index, found.index + (string ?? whole).length]);
  }
  return parts;
}

// ---- The payload, in three views.

/** The view that the user wants: of a body whose signature does not match, and of any other. */
const wanted = { mismatch: 'compared', other: 'laid-out' };
let showsWhite = false;
/** The most characters that are shown at once. More would delay the next key. */
const AT_ONCE = 8_000;
/** The number of the delivery of which all is shown. */
let shownWhole = null;

/** Shows the payload of a delivery. Without a laid-out form or a body that was signed, it shows the bytes as they came. */
function showPayload(delivery) {
  const { number, body, signed, bytes: length, error } = delivery;
  const { form } = body;
  const kind = error === 'signature_mismatch' ? 'mismatch' : 'other';
  const raw = form === 'bytes' ? atob(body.base64) : body.raw;
  const views = { compared: signed !== null, raw: true, 'laid-out': form === 'json' };
  const view = views[wanted[kind]] ? wanted[kind] : 'raw';
  for (const name of Object.keys(views)) {
    $(name).hidden = !views[name] || Object.values(views).filter(Boolean).length < 2;
    $(name).setAttribute('aria-pressed', name === view);
    $(name).onclick = () => { wanted[kind] = name; showPayload(delivery); };
  }
  $('white').setAttribute('aria-pressed', showsWhite);
  $('white').onclick = () => { showsWhite = !showsWhite; showPayload(delivery); };
  $('payload-said').textContent = length === 0 ? 'empty' : { json: '', text: 'not JSON', bytes: 'neither JSON nor UTF-8: each byte that is not ASCII is written as \\x' }[form];
  $('views').hidden = length === 0;
  $('payload').hidden = length === 0;

  const isCompared = view === 'compared';
  const isCut = view === 'laid-out' ? body.laid_out_cut : body.cut;
  const found = isCompared ? difference(signed, raw) : { parts: [[], []] };
  const text = view === 'laid-out' ? body.laid_out : raw;
  // What is alike before the first difference is left out, if that is far from the beginning.
  const alike = Math.min(...found.parts.map(([first]) => first?.[0] ?? Infinity));
  const isPart = shownWhole !== number && Math.max(text.length, isCompared ? signed.length : 0) > AT_ONCE;
  const from = isPart && alike < Infinity && alike > AT_ONCE / 2 ? alike - 200 : 0;
  const afterOf = ({ length: end }) => isPart && from + AT_ONCE < end ? '…' : isCut ? '… cut here: the curl command has all of it' : '';
  const drawn = { form, white: showsWhite, from, length: isPart ? AT_ONCE : Infinity };
  $('whole').hidden = !isPart;
  $('whole').textContent = `Show all ${bytes(length)}`;
  $('whole').onclick = () => { shownWhole = number; showPayload(delivery); $('payload').focus(); };
  $('pair').classList.toggle('is-pair', isCompared);
  $('payload').classList.toggle('is-raw', view !== 'laid-out');
  for (const id of ['signed-side', 'arrived-name', 'difference']) $(id).hidden = !isCompared;
  show($('payload'), text, { marks: found.parts[1], after: afterOf(text), ...drawn });
  show($('signed'), isCompared ? signed : '', { marks: found.parts[0], after: afterOf(signed ?? ''), ...drawn });
  if (!isCompared) return;
  const leftOut = from ? ` The first ${counted(from, 'character is', 'characters are')} alike, and left out.` : '';
  $('difference').textContent = `They differ in ${counted(found.count, 'place', 'places')}${found.isWhite ? ', by white space alone' : ''}. ${bytes(new TextEncoder().encode(signed).length)} were signed, and ${bytes(length)} arrived.${leftOut}`;
}
