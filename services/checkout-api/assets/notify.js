// Registers this browser for notifications about its buyer's orders, when the buyer asks for it, in either of Firebase's
// two ways: by a registration token or by the installation's id.
const place = document.getElementById("notify");
const { sdk, vapid, kind, owner } = place.dataset;
const language = document.documentElement.lang;
const WEEK = 7 * 24 * 60 * 60 * 1000;

const show = (state) => place.querySelectorAll("[data-when]").forEach((part) => { part.hidden = part.dataset.when !== state; });
const remembered = () => {
  try {
    return JSON.parse(localStorage.getItem("device"));
  } catch {
    return null;
  }
};

const tell = async (method, body) => {
  const headers = { "content-type": "application/json" };
  const response = await fetch("/api/messaging-tokens", { method, headers, body: JSON.stringify(body) });
  if (!response.ok && response.status !== 404) throw new Error(`${response.status}`);
};

// Whoever's session this is now is the one whose orders the device may show, in the language of this page.
const register = async (token) => {
  await tell("POST", { kind, token, locale: language });
  localStorage.setItem("device", JSON.stringify({ kind, token, language, owner, at: Date.now() }));
  show("on");
};

const firebase = async () => {
  const [app, messaging] = await Promise.all([import(`${sdk}/firebase-app.js`), import(`${sdk}/firebase-messaging.js`)]);
  if (!(await messaging.isSupported())) throw new Error("not supported");
  return { messaging, at: messaging.getMessaging(app.initializeApp(JSON.parse(place.dataset.config))) };
};

const turnOn = async () => {
  if ((await Notification.requestPermission()) !== "granted") return show("denied");
  const { messaging, at } = await firebase();
  const serviceWorkerRegistration = await navigator.serviceWorker.register("/firebase-messaging-sw.js");
  const options = { vapidKey: vapid, serviceWorkerRegistration };
  if (kind === "token") return register(await messaging.getToken(at, options));
  messaging.onRegistered(at, (id) => register(id).catch(() => show("failed")));
  return messaging.register(at, options);
};

// Here first: a token that is only forgotten over there would be tried for a month.
const turnOff = async () => {
  const device = remembered();
  if (device) await tell("DELETE", { kind: device.kind, token: device.token });
  localStorage.removeItem("device");
  show("off");
  const { messaging, at } = await firebase();
  await (kind === "token" ? messaging.deleteToken(at) : messaging.unregister(at));
};

const attempt = (what) => () => what().catch(() => show("failed"));

if ("serviceWorker" in navigator && "Notification" in window) {
  place.hidden = false;
  const device = remembered();
  show(device ? "on" : "off");
  place.querySelector("[data-when=off]").addEventListener("click", attempt(turnOn));
  place.querySelector("[data-when=on]").addEventListener("click", attempt(turnOff));
  const stale = device && (device.owner !== owner || device.language !== language || Date.now() - device.at > WEEK);
  if (stale) attempt(() => register(device.token))();

  // Signing out takes the device along.
  document.querySelector(".sign-out")?.addEventListener("submit", (event) => {
    for (const [name, value] of [["kind", remembered()?.kind], ["device", remembered()?.token]]) {
      if (value) event.target.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
    }
    localStorage.removeItem("device");
  });
}
