// ---- What an endpoint's answer means.

const RAW = 'It has another secret than this listener, or does not verify the raw body: a body that was parsed and written again has another signature.';
const AGAIN = 'Most providers send it again for some time.';
const MEANINGS = new Map([
  [400, () => 'It could not read the delivery, or found it too old. Its answer or its log may say which.'],
  [401, () => RAW],
  [403, () => `Something in front of the handler may refuse it, such as a login or a protection against forged forms. Or: ${RAW.charAt(0).toLowerCase()}${RAW.slice(1)}`],
  [404, ({ path }) => `It has nothing at ${visible(path)}. Give --forward-to the whole address of your handler, with its path.`],
  [405, ({ path }) => `It has something at ${visible(path)} that takes no POST. Give --forward-to the address of your handler.`],
  [408, () => `It waited too long for the body. ${AGAIN}`],
  [409, () => 'An earlier delivery of the same event is still being handled. The provider must send this one again.'],
  [410, ({ path }) => `What was at ${visible(path)} is gone. Some providers then stop sending.`],
  [413, () => 'Its limit for a body is lower than this body is long.'],
  [415, () => 'It wants another Content-Type. Read the raw body, whatever its type.'],
  [422, () => 'It read the delivery, and did not find the data that it expects of this event.'],
  [429, () => `It limits how many requests it takes. ${AGAIN}`],
  [501, ({ path }) => `It has something at ${visible(path)} that takes no POST. Give --forward-to the address of your handler.`],
  [502, () => `A proxy in front of your handler does not reach it. ${AGAIN}`],
  [503, () => `It is not ready, or its store is not. ${AGAIN}`],
  [504, () => `A proxy in front of your handler did not wait for it. Acknowledge first, and work afterwards. ${AGAIN}`],
]);

function meaningOf(status, delivery) {
  const known = MEANINGS.get(status);
  if (known) return known(delivery);
  if (status < 400) return 'It points elsewhere, and a provider does not follow. Give the final address, with its scheme and its slash.';
  if (status < 500) return 'It takes the delivery for wrong. Its answer or its log may say why.';
  return `It failed: its log says why. ${AGAIN}`;
}

/** What the verdict here and the answer there come to: the sign, its words for a screen reader, and a box for what is wrong. */
function outcomeOf(delivery) {
  const { verdict, error, endpoint } = delivery;
  const isGood = verdict === 'accepted';
  const here = isGood ? 'Accepted' : 'Refused';
  const { state, status } = endpoint;
  const plain = { sign: isGood ? 'good' : 'bad', words: here };
  if (state === 'unreachable') return { sign: 'care', words: `${here}, but your endpoint did not answer`, box: ['is-care', 'Your endpoint did not answer', `${sentence(visible(endpoint.message))}. ${AGAIN}`] };
  if (state !== 'answered') return plain;
  const isTaken = status >= 200 && status < 300;
  if (isTaken && (isGood || error === 'secret_unavailable')) return plain;
  if (isTaken) return { sign: 'alarm', words: 'Refused, but your endpoint accepted it', box: ['is-bad', 'Your endpoint accepted it', `It answered ${status} to a delivery that anyone could have sent. Verify the raw body before you use it.`] };
  // To refuse what is refused here is right, whatever the code of it.
  if (!isGood && [400, 401, 403, 413, 422].includes(status)) return plain;
  const title = isGood && [400, 401, 403, 413, 415, 422].includes(status) ? 'Your endpoint refused it' : `Your endpoint answered ${status}`;
  return { sign: 'care', words: `${here}, but your endpoint answered ${status}`, box: ['is-care', title, meaningOf(status, delivery)] };
}
