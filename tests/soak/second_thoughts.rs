//! What happens to money after it was promised or paid: deposits come, or are taken back by the bank; people of the shop give
//! money back, here or in Toss's console.

use std::time::Duration;

use harness::{Answer, Authenticated, Operator, Placed};
use rand::Rng as _;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::buyers::{ONE_ANSWER, Paid, Visit, insist};

impl Visit {
    pub(crate) async fn pay_into_an_account(&mut self, order: &Placed) -> anyhow::Result<()> {
        let payment = self.authenticate(order, "virtual-account").await?;
        if self.bring_back(order, &payment).await? != Paid::ByDeposit || self.chance(20) {
            return Ok(()); // never pays
        }
        self.pause(3_000).await;
        self.told.happened(&order.id, "the buyer pays into the account");
        self.shop.sandbox.deposit(&order.window_id);
        if self.chance(20) {
            self.pause(2_000).await;
            self.told.reversed(&order.id);
            if self.shop.sandbox.reverse_deposit(&order.window_id) && self.chance(50) {
                self.pause(2_000).await;
                self.told.happened(&order.id, "the buyer pays again");
                self.shop.sandbox.deposit(&order.window_id);
            }
            return Ok(());
        }
        for _ in 0..20 {
            if let Ok(Some(Paid::Yes)) = timeout(ONE_ANSWER, self.look(order)).await {
                return if self.chance(20) { self.ask_for_refund(order, true).await } else { Ok(()) };
            }
            self.pause(1_000).await;
        }
        Ok(())
    }

    /// Not what the buyer wanted, after all.
    pub(crate) async fn regret(&mut self, order: &Placed, payment: &Authenticated) -> anyhow::Result<()> {
        self.pause(2_000).await;
        if self.chance(50) {
            return self.ask_for_refund(order, false).await;
        }
        // In the console there is no idempotency key, so nobody presses the button again when the page hangs.
        let amount = if self.chance(50) { order.amount } else { order.amount / 3 };
        self.told.happened(&order.id, "somebody gives money back in Toss's console");
        let operator = self.shop.operator();
        drop(timeout(ONE_ANSWER, operator.try_cancel_at_console(&payment.payment_key, amount)).await);
        if amount < order.amount && self.chance(30) {
            let rest = order.amount - amount;
            drop(timeout(ONE_ANSWER, operator.try_cancel_at_console(&payment.payment_key, rest)).await);
        }
        Ok(())
    }

    /// Asks the shop, at one storefront or both at once, until it has said something.
    async fn ask_for_refund(&mut self, order: &Placed, deposit: bool) -> anyhow::Result<()> {
        let mut terms = match self.rng.random_range(0..3) {
            0 => json!({"restock": true}),
            1 => json!({}),
            _ => json!({"amount": order.amount / 3}),
        };
        if deposit {
            terms["refundAccount"] = json!({"bank": "20", "accountNumber": "1101234567890", "holderName": "김구매"});
        }
        self.told.happened(&order.id, "the shop is asked for a refund");
        let (key, twice) = (self.key(), self.chance(25));
        let [one, other] = self.shop.storefronts.each_ref().map(|url| self.shop.operator().at(url));
        insist("a refund", async || {
            let ask = async |operator: &Operator| refund(operator, order, &terms, &key).await;
            let answers = if twice {
                let (one, other) = tokio::join!(ask(&one), ask(&other));
                [one, other]
            } else {
                match ask(&one).await {
                    None => [ask(&other).await, None],
                    said => [said, None],
                }
            };
            let known: Vec<_> = answers.iter().flatten().map(|answer| self.heard(order, answer)).collect();
            known.into_iter().any(|known| known).then_some(())
        })
        .await
    }

    /// Whether an operator knows more now.
    fn heard(&self, order: &Placed, answer: &Answer) -> bool {
        let refund = answer.body["refundId"].as_str().and_then(|id| id.parse::<Uuid>().ok());
        match (answer.status, refund) {
            (201, Some(refund)) => self.told.refunded(&order.id, refund),
            (202, Some(_)) => self.told.happened(&order.id, "the refund is under way"),
            (409, _) => self.told.happened(&order.id, "another refund is under way"),
            (429 | 503, _) => return false,
            (status, _) => self.told.lie(&order.id, format!("to a refund the shop says {status}: {}", answer.body)),
        }
        true
    }

    async fn pause(&mut self, most: u64) {
        sleep(Duration::from_millis(self.rng.random_range(0..most))).await;
    }
}

async fn refund(operator: &Operator, order: &Placed, terms: &Value, key: &str) -> Option<Answer> {
    timeout(ONE_ANSWER, operator.try_refund(&order.id, terms.clone(), key)).await.ok()?.ok()
}
