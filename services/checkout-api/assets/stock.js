// Keeps what is left of the products up to date while the page is looked at. Without it, the page tells what was left
// when it was opened.
(() => {
  "use strict";
  const badges = [...document.querySelectorAll("[data-stock]")].slice(0, 100);
  if (badges.length === 0 || !window.EventSource) return;
  const products = [...new Set(badges.map((badge) => badge.dataset.stock))];
  let source;
  let later;

  const show = (id, left) => {
    const soldOut = left <= 0;
    for (const badge of badges.filter((badge) => badge.dataset.stock === id)) {
      const text = soldOut ? badge.dataset.none : badge.dataset.some.replace("#", left);
      // That it is gone is worth being read out; each piece is not.
      if (badge.classList.toggle("out", soldOut)) badge.setAttribute("aria-live", "polite");
      else badge.removeAttribute("aria-live");
      if (badge.textContent !== text) badge.textContent = text;
      badge.classList.toggle("few", !soldOut && left <= 10);
    }
    for (const form of document.querySelectorAll(`form[data-product="${id}"]`)) {
      // Nothing of it can be used, whatever else the page's script makes of its button.
      for (const part of form.querySelectorAll("[data-buying]")) part.inert = soldOut;
      form.quantity.max = Math.max(Math.min(left, form.dataset.most), 1);
    }
    // Nothing has been typed on a page that sold nothing. Not all of those who waited at once.
    const awaited = !soldOut && document.querySelector(`[data-awaits="${id}"]`);
    if (awaited) setTimeout(() => location.reload(), Math.random() * 3000);
  };

  const close = () => {
    clearTimeout(later);
    source?.close();
    source = undefined;
  };
  const open = () => {
    close();
    source = new EventSource(`/api/stock/events?products=${products.join(",")}`);
    source.onmessage = (message) => {
      for (const [id, left] of Object.entries(JSON.parse(message.data))) show(id, left);
    };
    source.onerror = () => {
      // After a broken connection the browser comes back by itself; after a refusal it does not.
      if (source?.readyState === EventSource.CLOSED) later = setTimeout(open, 30000 + Math.random() * 30000);
    };
  };

  // A page in the background is news to nobody.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", () => { if (!document.hidden) open(); });
})();
