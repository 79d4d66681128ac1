// ---- The frame around the list and the delivery.

const origin = location.origin;
const command = `countersign send ${origin}/webhooks/${(settings.providers.find((provider) => provider.secret) ?? settings.providers[0]).slug} --provider ${(settings.providers.find((provider) => provider.secret) ?? settings.providers[0]).slug}`;
$('try').textContent = command;
$('copy-try').addEventListener('click', async () => { $('copy-try').textContent = await copy(command) ? 'Copied' : 'Not allowed'; });
const address = ({ slug, name, secret, variable }) => element('li', {}, element('span', {}, name, ' ', secret ? element('span', { class: 'good' }, 'verified') : element('span', { class: 'care' }, `not verified: ${variable} is not set`)), element('code', {}, `${origin}/webhooks/${slug}`));
$('addresses').replaceChildren(...settings.providers.map(address));
$('addresses-here').replaceChildren(...settings.providers.map(address));
$('where').textContent = settings.forward ? `forwarded to ${settings.forward}` : 'not forwarded';

let unsaid = [];
let saying = null;
/** Tells a screen reader of new deliveries, at most every 1.5 seconds. */
function announce(fresh) {
  unsaid.push(...fresh);
  if (saying || !unsaid.length) return;
  saying = setTimeout(() => {
    const [only] = unsaid;
    const refused = unsaid.filter(({ verdict }) => verdict !== 'accepted').length;
    $('live').textContent = unsaid.length === 1
      ? `${names[only.provider]}: ${only.verdict === 'accepted' ? `accepted, ${visible(only.event)}` : `refused, ${words(only.error ?? only.verdict)}`}`
      : `${unsaid.length} new deliveries${refused ? `, ${refused} refused` : ''}`;
    unsaid = [];
    saying = null;
  }, first ? 0 : 1500);
  first = false;
}
let first = true;

function state(text, live) {
  $('state').textContent = text;
  $('state').dataset.live = live ? 'yes' : 'no';
}
// It reconnects by itself, and then receives what it missed.
const stream = new EventSource(`/api/events?key=${settings.token}`);
stream.addEventListener('open', () => state('Live', true));
stream.addEventListener('deliveries', (event) => take(JSON.parse(event.data)));
stream.addEventListener('error', () => state(stream.readyState === EventSource.CLOSED ? 'Ended: open the address that the listener printed' : 'Connecting again…', false));
