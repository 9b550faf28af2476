// Shows Toss's widget, and on "pay" makes the order first: the amount that is charged is the server's.
(async () => {
  "use strict";
  const form = document.getElementById("checkout");
  const button = form.querySelector("button[type=submit]");
  const problem = document.getElementById("problem");
  // One key for one visit: a second click repeats the request instead of making a second order.
  let attempt = crypto.randomUUID();
  // Without this script the form orders by itself. With it, there is something to pay with first.
  button.disabled = true;

  const won = (amount) => `₩${amount.toLocaleString("en-US")}`;
  // Either a product that is still to be ordered, or an order (data-order) that is still to be paid.
  const { order: known, product, price } = form.dataset;
  const quantity = () => Math.max(1, Math.trunc(Number(form.quantity.value)) || 1);
  const total = () => (known ? Number(form.dataset.amount) : Number(price) * quantity());
  const show = (name, text) => form.querySelectorAll(`[data-shows=${name}]`).forEach((at) => { at.textContent = text; });
  // What is said comes from the page, by the code of what happened.
  const say = (code) => {
    const known = [...document.querySelectorAll("#messages [data-code]")];
    const message = known.find((item) => item.dataset.code === code) ?? known.find((item) => item.dataset.code === "other");
    problem.textContent = message.textContent;
  };
  const refusal = (code) => Object.assign(new Error(code), { code });

  const post = async (address, body) => {
    const response = await fetch(address, {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": attempt },
      body: JSON.stringify(body),
    });
    const answer = await response.json();
    if (!response.ok) throw refusal(answer.code);
    return answer;
  };
  const payable = () => {
    if (known) return post(`/api/orders/${known}/pay`, {});
    const body = { items: [{ productId: product, quantity: quantity() }], expectedAmount: total() };
    if (form.email.value) body.customerEmail = form.email.value;
    return post("/api/orders", body);
  };

  let widgets;
  const amount = () => ({ currency: "KRW", value: total() });
  const open = async () => {
    widgets = TossPayments(form.dataset.clientKey).widgets({ customerKey: form.dataset.customerKey });
    await widgets.setAmount(amount());
    await Promise.all([
      widgets.renderPaymentMethods({ selector: "#payment-method", variantKey: "DEFAULT" }),
      widgets.renderAgreement({ selector: "#agreement", variantKey: "AGREEMENT" }),
    ]);
    button.disabled = false;
  };

  for (const step of form.querySelectorAll("[data-step]")) {
    step.addEventListener("click", () => {
      if (step.dataset.step > 0) form.quantity.stepUp();
      else form.quantity.stepDown();
      form.quantity.dispatchEvent(new Event("input", { bubbles: true }));
    });
  }

  // Not every field of the form is ours: the widget brings some.
  form.addEventListener("input", ({ target }) => {
    if (target !== form.quantity && target !== form.email) return;
    attempt = crypto.randomUUID();
    show("quantity", quantity());
    show("total", won(total()));
    widgets?.setAmount(amount());
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    problem.textContent = "";
    try {
      const made = await payable();
      if (made.status !== "pending") {
        // Somebody has paid for it meanwhile: this buyer, in another tab or before coming back here.
        location.assign(`/orders/${made.orderId.slice(0, 36)}`);
        return;
      }
      await widgets.setAmount({ currency: made.currency, value: made.amount });
      const { orderId, orderName, successUrl, failUrl } = made;
      const customerEmail = form.email?.value || undefined;
      await widgets.requestPayment({ orderId, orderName, successUrl, failUrl, customerEmail });
    } catch (error) {
      if (known && error.code === "wrong-state") location.assign(`/orders/${known}`);
      say(error.code);
    }
    button.disabled = false;
  });
  // Back from the payment window by the back button: the page is as it was left.
  addEventListener("pageshow", (event) => { if (event.persisted) button.disabled = false; });

  try {
    await open();
  } catch (error) {
    say(error.code);
  }
})();
