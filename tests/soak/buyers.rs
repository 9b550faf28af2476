//! Buyers, as they are: impatient, forgetful, and now and then dishonest.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use harness::{Answer, Authenticated, Buyer, Placed};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::shop::{CATALOGUE, Shop};
use crate::told::Told;

/// How long a person waits for one answer before trying again.
pub(crate) const ONE_ANSWER: Duration = Duration::from_secs(10);

/// How long a person keeps trying. Longer than any fault lasts.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);

/// What banks say.
const DECLINES: [&str; 5] = [
    "REJECT_CARD_PAYMENT",
    "REJECT_CARD_COMPANY",
    "INVALID_STOPPED_CARD",
    "EXCEED_MAX_DAILY_PAYMENT_COUNT",
    "EXCEED_MAX_AMOUNT",
];

/// What FCM says about some of the phones, step by step.
const PHONES: [&[&str]; 8] = [
    &["deliver_then_reset", "ok"],
    &["deliver_then_503", "ok"],
    &["unavailable", "ok"],
    &["quota:1", "ok"],
    &["internal", "reset", "ok"],
    &["html502", "ok"],
    &["hang", "ok"],
    &["unregistered"],
];

pub(crate) struct Visit {
    pub(crate) shop: Arc<Shop>,
    pub(crate) told: Arc<Told>,
    pub(crate) rng: StdRng,
    pub(crate) buyer: Buyer,
}

/// How an attempt to pay ended, as far as the buyer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paid {
    Yes,
    ByDeposit,
    /// Nothing was charged, or it goes back.
    Refused,
}

impl Visit {
    pub(crate) fn new(shop: Arc<Shop>, told: Arc<Told>, seed: u64) -> Self {
        let buyer = shop.buyer();
        Self { shop, told, rng: StdRng::seed_from_u64(seed), buyer }
    }

    /// Comes, orders, pays or does not, has second thoughts, and leaves.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let (one, other) = (self.anywhere(), self.anywhere());
        let opens = async |buyer: &Buyer| {
            let page = timeout(ONE_ANSWER, buyer.try_get("/")).await.ok()?.ok()?;
            page.status().is_success().then_some(())
        };
        let page = async || match opens(&one).await {
            None => opens(&other).await,
            open => open,
        };
        insist("the first page", page).await?;
        for _ in 0..self.rng.random_range(0..=2) {
            self.register_a_phone().await?;
        }
        if self.chance(3) {
            self.order_nonsense().await;
        }
        let name = if self.chance(3) { "rare" } else { CATALOGUE[self.rng.random_range(0..CATALOGUE.len() - 1)].0 };
        let other = CATALOGUE[self.rng.random_range(0..CATALOGUE.len() - 1)].0;
        let mut basket = vec![(name, self.rng.random_range(1..=2))];
        if other != name && self.chance(30) {
            basket.push((other, 1));
        }
        let basket = self.buyer.basket(&basket);
        let order = self.place(&basket).await?;
        match self.rng.random_range(0..100) {
            0..5 => Ok(()),                                            // closes the shop's window
            5..7 => self.authenticate(&order, "card").await.map(drop), // closes Toss's window
            7..10 => self.cancel(&order).await,
            10..21 => self.pay_into_an_account(&order).await,
            21..31 => self.pay_with_two_cards(&order, &basket).await,
            31..36 => self.pay_in_two_windows(&order).await,
            _ => {
                let payment = self.authenticate(&order, "card").await?;
                self.pay(&order, &payment).await
            }
        }
    }

    async fn register_a_phone(&mut self) -> anyhow::Result<()> {
        let token = format!("phone-{:032x}", self.rng.random::<u128>());
        if self.chance(15) {
            let steps = PHONES.choose(&mut self.rng).copied().unwrap_or_default();
            self.shop.sandbox.fcm_script(&token, steps.iter().filter_map(|step| step.parse().ok()).collect());
        }
        let (buyer, body) = (self.anywhere(), json!({"token": token}));
        insist("a phone", async || {
            (post(&buyer, "/api/messaging-tokens", &body, "phone").await?.status == 204).then_some(())
        })
        .await
    }

    async fn order_nonsense(&mut self) {
        let mut basket = self.buyer.basket(&[("mug", 1)]);
        let nonsense = [json!(0), json!(-1), json!(1.5), json!(100_000), json!("1"), json!(null)];
        basket["items"][0]["quantity"] = nonsense[self.rng.random_range(0..nonsense.len())].clone();
        let key = self.key();
        if let Some(answer) = post(&self.buyer, "/api/orders", &basket, &key).await
            && !matches!(answer.status, 422 | 429 | 503)
        {
            let quantity = &basket["items"][0]["quantity"];
            self.told.lie("", format!("to an order of {quantity} the shop says {}: {}", answer.status, answer.body));
        }
    }

    async fn place(&mut self, basket: &Value) -> anyhow::Result<Placed> {
        let (key, one, other, told) = (self.key(), self.anywhere(), self.anywhere(), Arc::clone(&self.told));
        let ask = async |buyer: &Buyer| match post(buyer, "/api/orders", basket, &key).await {
            Some(answer) if matches!(answer.status, 200 | 201) => {
                let order = Placed::from(answer.body);
                told.created(&order.id);
                Some(order)
            }
            Some(answer) if !matches!(answer.status, 429 | 503) => {
                told.lie("", format!("to an order the shop says {}: {}", answer.status, answer.body));
                None
            }
            _ => None, // the same key again
        };
        if !self.chance(20) {
            let ask_around = async || match ask(&one).await {
                None => ask(&other).await,
                placed => placed,
            };
            return insist("an order", ask_around).await;
        }
        let (order, twin) = tokio::try_join!(
            insist("an order", async || ask(&one).await),
            insist("an order", async || ask(&other).await)
        )?;
        if order.id != twin.id {
            self.told.lie(&order.id, format!("a double click made another order, too: {}", twin.id));
        }
        Ok(order)
    }

    async fn cancel(&mut self, order: &Placed) -> anyhow::Result<()> {
        let (buyer, told) = (self.anywhere(), Arc::clone(&self.told));
        let path = format!("/api/orders/{}/cancel", order.id);
        insist("a cancel", async || {
            let answer = post(&buyer, &path, &json!({}), "cancel").await?;
            match answer.status {
                200 => told.canceled(&order.id),
                409 => {} // it was, and the answer got lost
                _ => return None,
            }
            Some(())
        })
        .await
    }

    pub(crate) async fn authenticate(&self, order: &Placed, choice: &str) -> anyhow::Result<Authenticated> {
        Ok(self.buyer.try_authenticate(order, &[("choice", choice)]).await?)
    }

    async fn pay(&mut self, order: &Placed, payment: &Authenticated) -> anyhow::Result<()> {
        match self.bring_back(order, payment).await? {
            Paid::Yes if self.chance(8) => self.regret(order, payment).await,
            Paid::Yes | Paid::Refused | Paid::ByDeposit => Ok(()),
        }
    }

    async fn pay_with_two_cards(&mut self, order: &Placed, basket: &Value) -> anyhow::Result<()> {
        let code = DECLINES.choose(&mut self.rng).copied().unwrap_or_default();
        let refused = self.buyer.try_authenticate(order, &[("choice", "decline"), ("code", code)]).await?;
        self.bring_back(order, &refused).await?;
        if self.chance(70) {
            let order = self.place(basket).await?; // the same one, for another attempt
            let payment = self.authenticate(&order, "card").await?;
            self.pay(&order, &payment).await?;
        }
        Ok(())
    }

    /// Two tabs, two payment windows, one order.
    async fn pay_in_two_windows(&mut self, order: &Placed) -> anyhow::Result<()> {
        let (one, other) = (self.authenticate(order, "card").await?, self.authenticate(order, "card").await?);
        let mut twin = Self {
            shop: Arc::clone(&self.shop),
            told: Arc::clone(&self.told),
            rng: StdRng::seed_from_u64(self.rng.random()),
            buyer: self.buyer.clone(),
        };
        tokio::try_join!(self.bring_back(order, &one), twin.bring_back(order, &other))?;
        if self.shop.sandbox.approvals(&order.window_id) > 1 {
            self.told.lie(&order.id, "both of two windows were charged".into());
        }
        Ok(())
    }

    /// Comes back from the payment window, and again, until the shop has said what became of the payment.
    pub(crate) async fn bring_back(&mut self, order: &Placed, payment: &Authenticated) -> anyhow::Result<Paid> {
        if self.chance(8) {
            let cheaper = Authenticated { amount: payment.amount - 1, ..payment.clone() };
            if let Ok(Ok(answer)) = timeout(ONE_ANSWER, self.anywhere().try_confirm(&cheaper)).await
                // 202, 409: that the order is in no state to be paid may be known before its amount is looked at.
                && !matches!(answer.status, 202 | 409 | 422 | 429 | 503)
            {
                self.told.lie(&order.id, format!("to another amount the shop says {}: {}", answer.status, answer.body));
            }
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(Some(paid)) = timeout(ONE_ANSWER, self.come_back(order, payment)).await {
                return Ok(paid);
            }
            self.told.unsure(&order.id);
            if Instant::now() > deadline {
                bail!("nobody says what became of order {}", order.id);
            }
            sleep(Duration::from_millis(self.rng.random_range(100..600))).await;
        }
    }

    /// One try, in one of the ways in which buyers come back.
    async fn come_back(&mut self, order: &Placed, payment: &Authenticated) -> Option<Paid> {
        let buyer = self.anywhere();
        let answer = match self.rng.random_range(0..10) {
            0..2 => {
                // Closes the tab, sooner or later.
                let closed = Duration::from_millis(self.rng.random_range(1..300));
                timeout(closed, buyer.try_confirm(payment)).await.ok()?.ok()?
            }
            2..4 => {
                let other = self.anywhere();
                let (one, other) = tokio::join!(buyer.try_confirm(payment), other.try_confirm(payment));
                let (one, other) = (one.ok()?, other.ok()?);
                // Of two clicks at a moment when the last piece comes back, one may be too early.
                let early = |answer: &Answer| answer.body["code"] == "sold-out";
                if early(&one) != early(&other) {
                    return self.hears(order, payment, if early(&one) { &other } else { &one });
                }
                let (said, also) = (self.hears(order, payment, &one), self.hears(order, payment, &other));
                return said.or(also);
            }
            4..6 => {
                buyer.try_follow_back(payment).await.ok()?;
                return self.look(order).await; // a refusal is explained on the page; the next try will say which
            }
            _ => buyer.try_confirm(payment).await.ok()?,
        };
        self.hears(order, payment, &answer)
    }

    /// Asks for the order's state.
    pub(crate) async fn look(&mut self, order: &Placed) -> Option<Paid> {
        let shown = self.anywhere().try_read(&format!("/api/orders/{}", order.id)).await.ok()?;
        match (shown.status, shown.body["status"].as_str()) {
            (200, Some("paid")) => {
                self.told.paid(&order.id);
                Some(Paid::Yes)
            }
            (200, Some("awaiting_deposit")) => Some(Paid::ByDeposit),
            (200 | 429 | 503, _) => None,
            (status, _) => {
                self.told.lie(&order.id, format!("its buyer asks for it and hears {status}: {}", shown.body));
                None
            }
        }
    }

    /// What the shop's answer means; `None`: nobody knows yet.
    fn hears(&self, order: &Placed, payment: &Authenticated, answer: &Answer) -> Option<Paid> {
        match (answer.status, answer.body["status"].as_str(), answer.body["code"].as_str()) {
            (200, Some("paid"), _) => {
                self.told.paid(&order.id);
                Some(Paid::Yes)
            }
            (200, Some("awaiting_deposit"), _) => Some(Paid::ByDeposit),
            (402, _, Some(code)) | (409, _, Some(code @ ("sold-out" | "wrong-state"))) => {
                self.told.refused(&order.id, &payment.payment_key, code);
                Some(Paid::Refused)
            }
            (202 | 429 | 503, ..) => None,
            _ => {
                self.told.lie(&order.id, format!("its buyer hears {}: {}", answer.status, answer.body));
                Some(Paid::Refused)
            }
        }
    }

    /// The buyer at either storefront: a balancer does not care.
    pub(crate) fn anywhere(&mut self) -> Buyer {
        let url = &self.shop.storefronts[self.rng.random_range(0..self.shop.storefronts.len())];
        self.buyer.clone().at(url)
    }

    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_ratio(percent, 100)
    }

    pub(crate) fn key(&mut self) -> String {
        format!("{:032x}", self.rng.random::<u128>())
    }
}

async fn post(buyer: &Buyer, path: &str, body: &Value, key: &str) -> Option<Answer> {
    timeout(ONE_ANSWER, buyer.try_post(path, body, key)).await.ok()?.ok()
}

/// Asks until there is an answer that is one.
pub(crate) async fn insist<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            bail!("the shop never gave {what}");
        }
        sleep(Duration::from_millis(200)).await;
    }
}
