//! Tokens that are not on the board, looked up together: one question at a time, however many strangers ask.
//!
//! Nothing is remembered of a token that does not exist. It may exist a moment later, and strangers can think of
//! more of them than there is memory. What bounds them is that whoever asks has to wait, and that there are only
//! so many places to wait in.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Counter, counter, describe_counter};
use tokio::sync::oneshot;
use tokio::time::sleep;
use tracing::warn;

use super::board::{Presented, Responses};

const LOOKUPS: &str = "lockkeeper_responder_lookups_total";

/// Those who are answered by one question.
const ASKERS_MAX: usize = 512;
/// Between two questions, where somebody waits already: strangers cost the database no more than that.
const PAUSE: Duration = Duration::from_millis(5);
/// Between two tries to reach a database that is away.
const AWAY_WAIT: Duration = Duration::from_millis(100);

/// Why nothing was found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unanswered {
    #[error("too many requests wait for the database already")]
    Crowded,
    #[error("the database has no answer")]
    Refused,
}

/// Somebody who waits, and what for.
type Asker = (Box<str>, oneshot::Sender<Answer>);
type Answer = Result<Option<Presented>, Unanswered>;

pub(super) struct Inquiry {
    desk: Arc<Desk>,
    waiting_max: usize,
}

struct Desk {
    responses: Arc<dyn Responses>,
    queue: Mutex<Queue>,
    questions: Counter,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Asker>,
    /// Those whose question is under way.
    in_hand: usize,
    /// Whether somebody is at the desk.
    staffed: bool,
}

impl Queue {
    fn is_full(&mut self, waiting_max: usize) -> bool {
        let is_full = |queue: &Self| queue.waiting.len() + queue.in_hand >= waiting_max;
        if is_full(self) {
            self.forget_who_left();
        }
        is_full(self)
    }

    fn forget_who_left(&mut self) {
        self.waiting.retain(|(_, listener)| !listener.is_closed());
    }
}

impl Inquiry {
    pub(super) fn new(responses: Arc<dyn Responses>, waiting_max: usize) -> Self {
        describe_counter!(
            LOOKUPS,
            "Questions to the database for tokens that are not known, many tokens each."
        );
        let questions = counter!(LOOKUPS);
        let desk = Desk { responses, queue: Mutex::default(), questions };
        Self { desk: Arc::new(desk), waiting_max }
    }

    /// Waits for as long as the database is away: it is up to the caller to give up.
    pub(super) async fn ask(&self, token: &str) -> Answer {
        let answer = {
            let mut queue = self.desk.queue();
            if queue.is_full(self.waiting_max) {
                return Err(Unanswered::Crowded);
            }
            let (listener, answer) = oneshot::channel();
            queue.waiting.push_back((token.into(), listener));
            if !queue.staffed {
                queue.staffed = true;
                tokio::spawn(Arc::clone(&self.desk).serve());
            }
            answer
        };
        answer.await.unwrap_or(Err(Unanswered::Refused))
    }
}

impl Desk {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers until nobody waits.
    async fn serve(self: Arc<Self>) {
        while let Some(askers) = self.next() {
            let tokens: BTreeSet<&str> = askers.iter().map(|(token, _)| &**token).collect();
            self.questions.increment(1);
            let outcome = self.responses.look_up(tokens.into_iter().map(str::to_owned).collect()).await;
            self.queue().in_hand = 0;
            match outcome {
                Ok(found) => {
                    answer(askers, &found);
                    sleep(PAUSE).await;
                }
                Err(error) if error.passes => {
                    self.put_back(askers);
                    sleep(AWAY_WAIT).await;
                }
                Err(error) => {
                    warn!(
                        event = "responder.read_failed",
                        error = &error as &dyn Error,
                        "Responder cannot read responses"
                    );
                    for (_, listener) in askers {
                        drop(listener.send(Err(Unanswered::Refused)));
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Who is answered next, those first who came first. Whoever comes for the same token while the question is
    /// under way is none of them: the commit may come in between. Nobody, and the desk is left, once nobody waits.
    fn next(&self) -> Option<Vec<Asker>> {
        let mut queue = self.queue();
        queue.forget_who_left();
        let taken = queue.waiting.len().min(ASKERS_MAX);
        let askers: Vec<_> = queue.waiting.drain(..taken).collect();
        queue.in_hand = askers.len();
        queue.staffed = !askers.is_empty();
        queue.staffed.then_some(askers)
    }

    fn put_back(&self, askers: Vec<Asker>) {
        let mut queue = self.queue();
        for asker in askers.into_iter().rev() {
            queue.waiting.push_front(asker);
        }
    }
}

fn answer(askers: Vec<Asker>, found: &[Presented]) {
    let found: HashMap<&str, &Presented> = found.iter().map(|one| (&*one.token, one)).collect();
    for (token, listener) in askers {
        // Whoever no longer listens has hung up.
        drop(listener.send(Ok(found.get(&*token).copied().cloned())));
    }
}
