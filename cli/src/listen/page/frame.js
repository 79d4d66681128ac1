// ---- The frame around the list and the delivery.

const address = ({ slug, name, secret, variable }) => element('li', {},
  element('span', {}, visible(name), ' ', secret ? element('span', { class: 'good' }, 'secret set') : element('span', { class: 'care' }, `no secret: ${visible(variable)} is not set`)),
  element('code', {}, location.origin, element('wbr'), `/webhooks/${slug}`));
/** The most addresses of the empty state. The rest can be opened. */
const LISTED = 8;
function listAddresses(providers) {
  const isListed = ({ secret }, at) => at < 3 || (secret && at < LISTED);
  const rest = providers.filter((provider, at) => !isListed(provider, at));
  $('addresses').replaceChildren(...providers.map(address));
  $('addresses-here').replaceChildren(...providers.filter(isListed).map(address));
  $('more').hidden = rest.length === 0;
  $('more-said').textContent = counted(rest.length, 'more address', 'more addresses');
  $('addresses-more').replaceChildren(...rest.map(address));
}
// Those that can be verified come first.
const providers = [...settings.providers].sort((one, other) => other.secret - one.secret);
listAddresses(providers);

const command = `countersign send ${location.host}/webhooks/${providers[0].slug} -p ${providers[0].slug}`;
$('try').textContent = command;
$('trying').hidden = !providers[0].secret;
$('copy-try').addEventListener('click', async () => { $('copy-try').textContent = await copy(command) ? 'Copied' : 'Not allowed'; });
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
      ? `${nameOf(only.provider)}: ${only.verdict === 'accepted' ? 'accepted' : `refused as ${words(only.error ?? only.verdict)}`}, ${titleOf(only)}`
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
