// The worst contrast of any text that is shown with what is behind it, as WCAG 2.2 computes it.
(() => {
  const rgb = (text) => { const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number); return { r, g, b, a }; };
  const over = (top, under) => ({ r: top.r * top.a + under.r * (1 - top.a), g: top.g * top.a + under.g * (1 - top.a), b: top.b * top.a + under.b * (1 - top.a), a: 1 });
  const behind = (element) => {
    if (!element) return rgb(getComputedStyle(document.documentElement).colorScheme.startsWith('dark') ? 'rgb(0, 0, 0)' : 'rgb(255, 255, 255)');
    const colour = rgb(getComputedStyle(element).backgroundColor);
    return colour.a === 1 ? colour : over(colour, behind(element.parentElement));
  };
  const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const luminance = ({ r, g, b }) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  let worst = { ratio: 99 };
  let texts = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest('.unseen, script')) continue;
    texts += 1;
    const back = behind(element);
    const front = over(rgb(getComputedStyle(element).color), back);
    const [light, dark] = [luminance(front), luminance(back)].sort((one, other) => other - one);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < worst.ratio) worst = { ratio, text: walker.currentNode.data.trim().slice(0, 40), class: element.className };
  }
  // The colours of JSON are no element's: they stand on the payload's ground.
  const ground = behind(document.getElementById('payload'));
  const variables = getComputedStyle(document.documentElement);
  for (const [name, back] of [['string'], ['number'], ['name'], ['literal'], ['white'], ['ink', 'differs'], ['care', 'care-well']]) {
    const probe = document.createElement('i');
    probe.style.color = variables.getPropertyValue(`--${name}`);
    if (back) probe.style.backgroundColor = variables.getPropertyValue(`--${back}`);
    document.body.append(probe);
    const under = back ? rgb(getComputedStyle(probe).backgroundColor) : ground;
    const [light, dark] = [luminance(rgb(getComputedStyle(probe).color)), luminance(under)].sort((one, other) => other - one);
    probe.remove();
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < worst.ratio) worst = { ratio, text: name };
  }
  return { ...worst, texts };
})()
