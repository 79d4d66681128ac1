
const $ = (id) => document.getElementById(id);
const settings = JSON.parse($('settings').textContent);
const names = new Map(settings.providers.map((provider) => [provider.slug, provider.name]));
const nameOf = (provider) => visible(names.get(provider) ?? provider);

// ---- Text. Data from the network is only ever shown as text, never as markup.

const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\udb40[\udc00-\udc7f]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const escaped = (character) => `\\u{${character.codePointAt(0).toString(16)}}`;
/** Escapes each character of a line that has no width or changes the direction. */
const visible = (text) => String(text).replace(/[\n\t]/g, ' ').replace(HIDDEN, escaped);

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === 'class') made.className = value;
    else if (key === 'onclick') made.addEventListener('click', value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** A sentence from the library, in which backticks mark code. */
const prose = (text) => visible(sentence(text) + '.').split('`').map((part, at) => at % 2 ? element('code', {}, part) : part);

function icon(kind, size = 20) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('width', size);
  svg.setAttribute('height', size);
  svg.setAttribute('aria-hidden', 'true');
  svg.setAttribute('class', kind);
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `#is-${kind}`);
  svg.append(use);
  return svg;
}

const clock = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
const bytes = (count) => count < 1024 ? counted(count, 'byte', 'bytes') : count < 1 << 20 ? `${(count / 1024).toFixed(1)} KiB` : `${(count / (1 << 20)).toFixed(1)} MiB`;
/** Every duration on the page, in milliseconds. */
const took = (ms) => `${ms < 10 ? ms.toFixed(1) : Math.round(ms).toLocaleString('en')} ms`;
const counted = (count, one, many) => `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const words = (code) => code.replaceAll('_', ' ');

/** Asks the listener, with this page's key. */
const ask = (path, method = 'GET') => fetch(path, { method, headers: { 'x-countersign-token': settings.token } });
