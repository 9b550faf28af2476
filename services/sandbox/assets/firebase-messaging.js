// Stands in for Firebase's messaging module: this browser becomes the sandbox's phone. Both ways of registering are
// there, and as with Firebase a browser uses one of them.
const KEY = "jumun-sandbox-phone";
const told = { registered: [], unregistered: [] };

const device = (options) => {
  if (!options?.vapidKey) throw new Error("messaging/token-subscribe-failed: no vapidKey");
  // Whoever opens a notification on the sandbox's page is to get to the shop that this browser was on.
  const known = localStorage.getItem(KEY) ?? `phone-${crypto.randomUUID()}@${location.origin}`;
  localStorage.setItem(KEY, known);
  return known;
};
const forget = () => {
  const known = localStorage.getItem(KEY);
  localStorage.removeItem(KEY);
  return known;
};

export const isSupported = async () => true;
export const getMessaging = (app) => ({ app });
export const onMessage = () => () => {};

export const getToken = async (messaging, options) => device(options);
export const deleteToken = async () => forget() !== null;

export const onRegistered = (messaging, listener) => { told.registered.push(listener); };
export const onUnregistered = (messaging, listener) => { told.unregistered.push(listener); };
export const register = async (messaging, options) => {
  const id = device(options);
  told.registered.forEach((listener) => listener(id));
};
export const unregister = async () => {
  const id = forget();
  if (id) told.unregistered.forEach((listener) => listener(id));
};
