// Shows Toss's widget, and on "pay" makes the order first: the amount that is charged is the server's.
(async () => {
  "use strict";
  const form = document.getElementById("checkout");
  if (!form) return;
  const button = form.querySelector("button");
  const problem = document.getElementById("problem");
  const price = Number(form.dataset.price);
  // One key for one visit: a second click repeats the request instead of making a second order.
  let attempt = crypto.randomUUID();
  const say = (text) => { problem.textContent = text; };

  const order = async () => {
    const quantity = Number(form.quantity.value);
    const body = { items: [{ productId: form.dataset.product, quantity }], expectedAmount: price * quantity };
    if (form.email.value) body.customerEmail = form.email.value;
    const response = await fetch("/api/orders", {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": attempt },
      body: JSON.stringify(body),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.detail ?? answer.title);
    return answer;
  };

  let widgets;
  const shown = async () => {
    // The widget wants a customer before there is an order; the order's own key replaces it on paying.
    widgets = TossPayments(form.dataset.clientKey).widgets({ customerKey: TossPayments.ANONYMOUS });
    await widgets.setAmount({ currency: "KRW", value: price * Number(form.quantity.value) });
    await Promise.all([
      widgets.renderPaymentMethods({ selector: "#payment-method", variantKey: "DEFAULT" }),
      widgets.renderAgreement({ selector: "#agreement", variantKey: "AGREEMENT" }),
    ]);
    button.disabled = false;
  };

  form.addEventListener("input", () => { attempt = crypto.randomUUID(); });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    say("");
    try {
      const made = await order();
      if (made.status === "confirming") {
        say(form.dataset.checking);
        return;
      }
      await widgets.setAmount({ currency: made.currency, value: made.amount });
      const { orderId, orderName, successUrl, failUrl } = made;
      await widgets.requestPayment({ orderId, orderName, successUrl, failUrl });
    } catch (error) {
      say(`${form.dataset.problem} ${error.message ?? ""}`);
    }
    button.disabled = false;
  });

  try {
    await shown();
  } catch (error) {
    say(`${form.dataset.problem} ${error.message ?? ""}`);
  }
})();
