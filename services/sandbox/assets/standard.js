// The browser half of Jumun's sandbox: the interface of Toss Payments' SDK v2, as far as a shop in redirect mode
// uses it. This is not Toss. Styles are set by property, so that the shop's content security policy may forbid inline ones.
(() => {
  "use strict";

  const SANDBOX = __SANDBOX__;
  const ANONYMOUS = "@@ANONYMOUS";

  class TossPaymentsError extends Error {
    constructor(code, message) {
      super(message);
      this.name = "TossPaymentsError";
      this.code = code;
    }
  }

  const fail = (code, message) => {
    throw new TossPaymentsError(code, message);
  };

  const element = (tag, text, style) => {
    const node = document.createElement(tag);
    if (text) node.textContent = text;
    Object.assign(node.style, style);
    return node;
  };

  const panel = (selector, title) => {
    const host = typeof selector === "string" && document.querySelector(selector);
    if (!host) fail("INVALID_SELECTOR", "selector에 해당하는 요소를 찾을 수 없습니다.");
    const box = element("section", "", {
      border: "2px dashed #d97706", borderRadius: "8px", padding: "16px", margin: "8px 0", background: "#fffbeb", color: "#1f2937",
    });
    box.append(element("strong", title, { display: "block" }));
    box.append(element("small", "샌드박스: 이것은 토스페이먼츠가 아닙니다 / Sandbox: this is not Toss", { color: "#92400e" }));
    host.append(box);
    return box;
  };

  const choice = (box, type, name, text, checked) => {
    const label = element("label", "", { display: "block", marginTop: "10px", cursor: "pointer" });
    const input = element("input", "", { marginRight: "8px" });
    Object.assign(input, { type, name, checked });
    label.append(input, text);
    box.append(label);
    return input;
  };

  const listeners = () => {
    const known = new Map();
    return {
      on: (event, callback) => known.set(event, [...(known.get(event) ?? []), callback]),
      emit: (event, value) => (known.get(event) ?? []).forEach((callback) => callback(value)),
    };
  };

  const checkAmount = (amount) => {
    if (typeof amount?.value !== "number" || !Number.isFinite(amount.value)) {
      fail("INVALID_AMOUNT_VALUE", "금액은 숫자여야 합니다.");
    }
    if (amount.value <= 0) fail("BELOW_ZERO_AMOUNT", "금액은 0보다 커야 합니다.");
    if (amount.currency !== "KRW") fail("INVALID_AMOUNT_CURRENCY", "샌드박스는 KRW만 지원합니다.");
  };

  const checkCustomer = (customerKey) => {
    if (!/^[A-Za-z0-9\-_=.@]{2,50}$/.test(customerKey ?? "")) {
      fail("INVALID_CUSTOMER_KEY", "customerKey는 영문 대소문자, 숫자, 특수문자 -, _, =, ., @ 로 2자 이상 50자 이하여야 합니다.");
    }
  };

  // The sandbox's phone: one for each browser, registered with the shop as a device of the buyer's, so that a newcomer
  // sees the notification arrive. This runs in the shop's page, so the shop knows whose device it is.
  const registerPhone = () => {
    const token = localStorage.getItem("jumun-sandbox-phone") ?? `sandbox-phone-${crypto.randomUUID()}`;
    localStorage.setItem("jumun-sandbox-phone", token);
    const locale = document.documentElement.lang === "en" ? "en" : "ko";
    return fetch("/api/messaging-tokens", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token, locale }),
    });
  };

  let running = false;

  const request = async (payment) => {
    if (!payment.successUrl && !payment.failUrl) {
      fail("NOT_SUPPORTED_PROMISE", "샌드박스는 successUrl과 failUrl이 있는 리다이렉트 방식만 지원합니다.");
    }
    if (running) fail("INVALID_METHOD_TRANSACTION", "이미 진행 중인 요청이 있습니다.");
    running = true;
    try {
      await registerPhone().catch(() => console.info("Jumun sandbox: the shop did not take the phone; paying goes on."));
      const response = await fetch(`${SANDBOX}/toss/browser/payments`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(payment),
      });
      if (response.status === 400) {
        const { code, message } = await response.json().catch(() => ({ code: "INVALID_PARAMETERS", message: "" }));
        fail(code, message);
      }
      if (!response.ok) fail("INVALID_PARAMETERS", await response.text());
      window.location.assign((await response.json()).windowUrl);
    } finally {
      running = false;
    }
    // The page is being left; like the real SDK in redirect mode, this never resolves.
    return new Promise(() => {});
  };

  const widgets = (clientKey, { customerKey } = {}) => {
    if (/^(test|live)_ck_/.test(clientKey)) {
      fail("NOT_SUPPORTED_API_INDIVIDUAL_KEY", "결제위젯은 API 개별 연동 키를 지원하지 않습니다.");
    }
    checkCustomer(customerKey);
    let amount = null;
    let selected = null;
    let agreement = null;
    const needAmount = () => amount ?? fail("NOT_SETUP_AMOUNT", "setAmount를 먼저 호출해야 합니다.");

    return {
      async setAmount(next) {
        checkAmount(next);
        amount = { value: next.value, currency: next.currency };
      },

      async renderPaymentMethods({ selector } = {}) {
        needAmount();
        if (selected) fail("PAYMENT_METHODS_WIDGET_ALREADY_RENDERED", "결제수단 위젯이 이미 렌더링되었습니다.");
        const box = panel(selector, "결제 방법 / Payment method");
        const { on, emit } = listeners();
        selected = { code: "CARD" };
        const offer = (code, text) => {
          choice(box, "radio", "sandbox-payment-method", text, code === selected.code).addEventListener("change", () => {
            selected = { code };
            emit("paymentMethodSelect", { code });
          });
        };
        offer("CARD", "카드 / Card");
        offer("VIRTUAL_ACCOUNT", "가상계좌 / Virtual account");
        return {
          on,
          getSelectedPaymentMethod: async () => selected,
          destroy: async () => {
            box.remove();
            selected = null;
          },
        };
      },

      async renderAgreement({ selector } = {}) {
        needAmount();
        if (agreement) fail("AGREEMENT_WIDGET_ALREADY_RENDERED", "약관 위젯이 이미 렌더링되었습니다.");
        const box = panel(selector, "이용 약관 / Terms");
        const { on, emit } = listeners();
        const input = choice(box, "checkbox", "sandbox-agreement", "[필수] 결제 서비스 이용 약관에 동의합니다 / I agree", true);
        agreement = input;
        const status = () => ({
          agreedRequiredTerms: input.checked,
          agreements: [{ term: { id: "sandbox", required: true }, agreed: input.checked }],
        });
        input.addEventListener("change", () => emit("agreementStatusChange", status()));
        return {
          on: (event, callback) => {
            on(event, callback);
            if (event === "agreementStatusChange") queueMicrotask(() => callback(status()));
          },
          destroy: async () => {
            box.remove();
            agreement = null;
          },
        };
      },

      async requestPayment(options = {}) {
        needAmount();
        if (!selected) fail("NOT_SELECTED_PAYMENT_METHOD", "결제수단을 선택해주세요.");
        if (agreement && !agreement.checked) {
          fail("NEED_AGREEMENT_WITH_REQUIRED_TERMS", "필수 약관에 동의해주세요.");
        }
        return request({ ...options, clientKey, customerKey, amount, method: selected.code, flow: "widget" });
      },
    };
  };

  const payment = (clientKey, { customerKey } = {}) => {
    if (/^(test|live)_gck_/.test(clientKey)) {
      fail("NOT_SUPPORTED_WIDGET_KEY", "결제창은 결제위젯 연동 키를 지원하지 않습니다.");
    }
    checkCustomer(customerKey);
    return {
      async requestPayment(options = {}) {
        checkAmount(options.amount);
        if (options.method !== "CARD" && options.method !== "VIRTUAL_ACCOUNT") {
          fail("NOT_SUPPORTED_METHOD", "샌드박스는 CARD와 VIRTUAL_ACCOUNT만 지원합니다.");
        }
        return request({ ...options, clientKey, customerKey, flow: "payment" });
      },
      async destroy() {},
    };
  };

  const TossPayments = (clientKey) => {
    if (/^(test|live)_g?sk_/.test(clientKey ?? "")) {
      fail("INSECURE_KEY_USAGE", "시크릿 키를 브라우저에서 사용하면 안 됩니다.");
    }
    if (!/^(test|live)_g?ck_/.test(clientKey ?? "")) fail("INVALID_CLIENT_KEY", "잘못된 클라이언트 연동 정보 입니다.");
    return {
      widgets: (options) => widgets(clientKey, options),
      payment: (options) => payment(clientKey, options),
    };
  };
  TossPayments.ANONYMOUS = ANONYMOUS;

  console.info("Jumun sandbox: this is not Toss Payments. / 이것은 토스페이먼츠가 아닙니다.");
  window.TossPayments = TossPayments;
})();
