//! What the CA said in an answer, word by word, for whoever wants to know later.

use issuance::answer::{Answer, Trouble};
use issuance::authorization::AuthorizationStatus;
use issuance::identifier::Hostname;
use issuance::order::Order;
use issuance::problem::Problem;
use issuance::step::Step;

use crate::store::order_problems::OrderProblem;

/// All problem documents in the answer to `step`.
pub(super) fn told(step: &Step, answer: &Answer, order: &Order) -> Vec<OrderProblem> {
    let name = |index: &usize| order.authorizations.get(*index).and_then(|one| one.identifier.clone());
    let one = |hostname: Option<Hostname>, problem: &Problem| OrderProblem {
        step: step.as_str(),
        hostname,
        problem: problem.clone(),
    };
    match answer {
        Answer::Trouble(Trouble::Refused(problem)) => vec![one(problem.identifier.clone(), problem)],
        Answer::Placed(seen) | Answer::PlacedLate(seen) | Answer::Order(seen) => {
            seen.problem.iter().map(|problem| one(problem.identifier.clone(), problem)).collect()
        }
        Answer::Authorizations(read) => read
            .iter()
            .filter_map(|(index, outcome)| match outcome {
                // A challenge that may still be answered has none that counts.
                Ok(seen) if seen.status != AuthorizationStatus::Valid => {
                    seen.problem.as_ref().map(|problem| one(Some(seen.identifier.clone()), problem))
                }
                Err(Trouble::Refused(problem)) => Some(one(name(index), problem)),
                _ => None,
            })
            .collect(),
        Answer::Submitted(answers) => refused(answers, name, one),
        Answer::Deactivated(answers) => refused(answers, name, one),
        _ => Vec::new(),
    }
}

fn refused<T>(
    answers: &[(usize, Result<T, Trouble>)],
    name: impl Fn(&usize) -> Option<Hostname>,
    one: impl Fn(Option<Hostname>, &Problem) -> OrderProblem,
) -> Vec<OrderProblem> {
    let mut told = Vec::new();
    for (index, outcome) in answers {
        if let Err(Trouble::Refused(problem)) = outcome {
            told.push(one(name(index), problem));
        }
    }
    told
}
