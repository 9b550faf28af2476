// Shows Toss's widget, and on "pay" makes the order first: the amount that is charged is the server's.
(async () => {
  "use strict";
  const form = document.getElementById("checkout");
  const button = form.querySelector("button[type=submit]");
  const problem = document.getElementById("problem");
  const price = Number(form.dataset.price);
  // One key for one visit: a second click repeats the request instead of making a second order.
  let attempt = crypto.randomUUID();

  const won = (amount) => `₩${amount.toLocaleString("en-US")}`;
  const quantity = () => Math.max(1, Math.trunc(Number(form.quantity.value)) || 1);
  const show = (name, text) => form.querySelectorAll(`[data-shows=${name}]`).forEach((at) => { at.textContent = text; });
  // What is said comes from the page, by the code of what happened.
  const say = (code) => {
    const known = [...document.querySelectorAll("#messages [data-code]")];
    const message = known.find((item) => item.dataset.code === code) ?? known.find((item) => item.dataset.code === "other");
    problem.textContent = message.textContent;
  };
  const refusal = (code) => Object.assign(new Error(code), { code });

  const order = async () => {
    const body = { items: [{ productId: form.dataset.product, quantity: quantity() }], expectedAmount: price * quantity() };
    if (form.email.value) body.customerEmail = form.email.value;
    const response = await fetch("/api/orders", {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": attempt },
      body: JSON.stringify(body),
    });
    const answer = await response.json();
    if (!response.ok) throw refusal(answer.code);
    return answer;
  };

  let widgets;
  const amount = () => ({ currency: "KRW", value: price * quantity() });
  const open = async () => {
    widgets = TossPayments(form.dataset.clientKey).widgets({ customerKey: form.dataset.customerKey });
    await widgets.setAmount(amount());
    await Promise.all([
      widgets.renderPaymentMethods({ selector: "#payment-method", variantKey: "DEFAULT" }),
      widgets.renderAgreement({ selector: "#agreement", variantKey: "AGREEMENT" }),
    ]);
    button.disabled = false;
  };

  form.addEventListener("input", () => {
    attempt = crypto.randomUUID();
    show("quantity", quantity());
    show("total", won(price * quantity()));
    widgets?.setAmount(amount());
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    problem.textContent = "";
    try {
      const made = await order();
      if (made.status === "confirming") throw refusal("confirming");
      await widgets.setAmount({ currency: made.currency, value: made.amount });
      const { orderId, orderName, successUrl, failUrl } = made;
      await widgets.requestPayment({ orderId, orderName, successUrl, failUrl });
    } catch (error) {
      say(error.code);
    }
    button.disabled = false;
  });

  try {
    await open();
  } catch (error) {
    say(error.code);
  }
})();
