//! A circuit breaker: while the provider is down, buyers read "we are checking" without delay, and one call now and then
//! finds out whether it is back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::{CancelAnswer, CancelRequest, Evidence, Payment, PaymentGateway, Unanswered};
use tokio::time::Instant;
use tracing::{error, info};

/// So many calls in a row without an answer, and the provider counts as down.
const PATIENCE: u32 = 10;

/// A gateway that stops asking while nobody answers. Not asking is one more way of not knowing: what follows is the same
/// as for a lost answer.
pub struct Circuit {
    gateway: Arc<dyn PaymentGateway>,
    /// How long to leave a provider alone that is down.
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
enum State {
    Up { unanswered: u32 },
    Down { next_try: Instant },
}

/// The provider is down, and the pause is not over.
#[derive(Debug, thiserror::Error)]
#[error("the provider is down and was not asked")]
struct NotAsked;

impl Circuit {
    /// A circuit that is closed: the provider is asked.
    pub fn new(gateway: Arc<dyn PaymentGateway>, pause: Duration) -> Self {
        Self { gateway, pause, state: Mutex::new(State::Up { unanswered: 0 }) }
    }

    /// How many of `most` calls it makes sense to begin now. What is not asked now stays due, and is not lost.
    pub fn room(&self, most: i64) -> i64 {
        match *self.state() {
            State::Up { .. } => most,
            State::Down { next_try } if next_try <= Instant::now() => most.min(1),
            State::Down { .. } => 0,
        }
    }

    async fn ask<T>(&self, question: impl Future<Output = Result<T, Unanswered>>) -> Result<T, Unanswered> {
        if !self.admit() {
            return Err(Unanswered::Transport(Box::new(NotAsked)));
        }
        let answer = question.await;
        self.note(answer.as_ref().err());
        answer
    }

    /// While the provider is down, one call in a pause goes through, whether or not the one before it has come back.
    fn admit(&self) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        match *state {
            State::Up { .. } => true,
            State::Down { next_try } if next_try > now => false,
            State::Down { .. } => {
                *state = State::Down { next_try: now + self.pause };
                true
            }
        }
    }

    fn note(&self, problem: Option<&Unanswered>) {
        let mut state = self.state();
        *state = match (*state, problem.filter(|it| of_the_provider(it))) {
            (State::Up { unanswered }, Some(problem)) if unanswered + 1 >= PATIENCE => {
                let cause = problem as &dyn std::error::Error;
                error!(cause, "The provider is down: {PATIENCE} calls in a row had no answer");
                State::Down { next_try: Instant::now() + self.pause }
            }
            (State::Up { unanswered }, Some(_)) => State::Up { unanswered: unanswered + 1 },
            (State::Down { .. }, Some(_)) => State::Down { next_try: Instant::now() + self.pause },
            (State::Up { .. }, None) => State::Up { unanswered: 0 },
            (State::Down { .. }, None) => {
                info!("The provider answers again");
                State::Up { unanswered: 0 }
            }
        };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A 4xx that settles nothing is about one payment; the provider itself is well. 429 asks for exactly what a circuit does.
fn of_the_provider(problem: &Unanswered) -> bool {
    match problem {
        Unanswered::Transport(_) => true,
        Unanswered::Refused { .. } => false,
        Unanswered::Inconclusive { status, .. } => *status == 429 || !(400..500).contains(status),
    }
}

#[async_trait]
impl PaymentGateway for Circuit {
    async fn confirm(&self, payment: &Payment) -> Result<Evidence, Unanswered> {
        self.ask(self.gateway.confirm(payment)).await
    }

    async fn find(&self, payment: &Payment) -> Result<Evidence, Unanswered> {
        self.ask(self.gateway.find(payment)).await
    }

    async fn cancel(&self, request: &CancelRequest) -> Result<CancelAnswer, Unanswered> {
        self.ask(self.gateway.cancel(request)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    #[async_trait]
    impl PaymentGateway for Nobody {
        async fn confirm(&self, _: &Payment) -> Result<Evidence, Unanswered> {
            Err(inconclusive(500))
        }
        async fn find(&self, _: &Payment) -> Result<Evidence, Unanswered> {
            Err(inconclusive(500))
        }
        async fn cancel(&self, _: &CancelRequest) -> Result<CancelAnswer, Unanswered> {
            Err(inconclusive(500))
        }
    }

    fn inconclusive(status: u16) -> Unanswered {
        Unanswered::Inconclusive { status, code: "X".to_owned() }
    }

    async fn fail(circuit: &Circuit, status: u16) {
        assert!(circuit.ask(async { Err::<(), _>(inconclusive(status)) }).await.is_err());
    }

    /// Whether a call went through.
    async fn asked(circuit: &Circuit, answer: Result<(), Unanswered>) -> bool {
        let mut asked = false;
        let question = async {
            asked = true;
            answer
        };
        drop(circuit.ask(question).await);
        asked
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_is_down_is_tried_now_and_then_until_it_answers() {
        let pause = Duration::from_secs(5);
        let circuit = Circuit::new(Arc::new(Nobody), pause);
        for _ in 0..PATIENCE {
            assert_eq!(circuit.room(20), 20);
            fail(&circuit, 500).await;
        }
        assert_eq!(circuit.room(20), 0);
        assert!(!asked(&circuit, Ok(())).await);

        tokio::time::advance(pause).await;
        assert_eq!(circuit.room(20), 1);
        assert!(asked(&circuit, Err(inconclusive(502))).await);
        assert!(!asked(&circuit, Ok(())).await, "one try, and it failed");
        tokio::time::advance(pause).await;
        assert!(asked(&circuit, Ok(())).await);
        assert_eq!(circuit.room(20), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_between_and_a_strange_payment_do_not_count() {
        let circuit = Circuit::new(Arc::new(Nobody), Duration::from_secs(5));
        for _ in 0..PATIENCE - 1 {
            fail(&circuit, 500).await;
        }
        assert!(asked(&circuit, Ok(())).await);
        for _ in 0..PATIENCE - 1 {
            fail(&circuit, 429).await;
        }
        fail(&circuit, 400).await;
        fail(&circuit, 500).await;
        assert_eq!(circuit.room(20), 20);
    }
}
