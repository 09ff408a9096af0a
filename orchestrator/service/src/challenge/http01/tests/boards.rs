//! What is on the board, what is not, and what that costs the database.

use std::sync::atomic::AtomicBool;

use futures_util::future::join_all;
use issuance::ids::OrderId;
use uuid::Uuid;

use super::*;

fn presented(token: &str) -> Presented {
    Presented { order: ORDER, token: token.into(), key_authorization: format!("{token}.thumbprint").into() }
}

fn board(shelf: &Arc<Shelf>, waiting_max: usize) -> Board {
    Board::new(Arc::clone(shelf) as Arc<dyn Responses>, waiting_max)
}

async fn is_current(board: &Board, token: &str) -> bool {
    matches!(board.find(token).await, Ok(Found::Current(_)))
}

#[tokio::test]
async fn strangers_cost_few_questions_and_leave_nothing_behind() {
    const STRANGERS: usize = 20_000;
    const AT_ONCE: usize = 500;
    let shelf = Arc::new(one_response());
    let board = board(&shelf, AT_ONCE * 2);
    for round in 0..STRANGERS / AT_ONCE {
        let tokens: Vec<_> = (0..AT_ONCE).map(|number| format!("{:043}", round * AT_ONCE + number)).collect();
        let mut asked: Vec<_> = tokens.iter().map(|token| board.find(token)).collect();
        asked.push(board.find(TOKEN));
        let found = join_all(asked).await;
        let (ca, strangers) = found.split_last().expect("many");
        assert!(matches!(ca, Ok(Found::Current(_))), "{ca:?}");
        let told = strangers.iter().find(|one| !matches!(one, Ok(Found::Nothing)));
        assert!(told.is_none(), "{told:?}");
    }
    let (tokens, questions) = (shelf.asked.load(Ordering::SeqCst), shelf.questions.load(Ordering::SeqCst));
    assert_eq!(tokens, STRANGERS + 1, "nothing is remembered of them, and the one that exists is");
    assert!(questions <= STRANGERS / AT_ONCE * 2, "{questions} questions");
    assert_eq!(board.len(), 1);
}

#[tokio::test]
async fn many_who_ask_for_one_token_ask_once() {
    let shelf = Arc::new(one_response());
    let board = board(&shelf, 1_000);
    let found = join_all((0..500).map(|_| board.find("AAAAAAAAAAAAAAAAAAAAAA"))).await;
    assert!(found.iter().all(|one| matches!(one, Ok(Found::Nothing))));
    assert_eq!(shelf.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_is_committed_is_found_by_the_next_who_asks() {
    let shelf = Arc::new(one_response());
    let board = board(&shelf, WAITING_MAX);
    assert!(matches!(board.find("AAAAAAAAAAAAAAAAAAAAAA").await, Ok(Found::Nothing)));
    assert!(is_current(&board, TOKEN).await, "a look-up that found nothing delays nobody");
    assert!(is_current(&board, TOKEN).await);
    assert_eq!(shelf.asked.load(Ordering::SeqCst), 2, "what is known is not asked for");
}

#[tokio::test]
async fn while_the_database_is_down_what_is_known_is_served_and_the_rest_waits_for_it() {
    let shelf = Arc::new(Shelf { down: true.into(), ..one_response() });
    let board = Arc::new(board(&shelf, WAITING_MAX));
    board.post(&[presented("BBBBBBBBBBBBBBBBBBBBBB")]);
    assert!(is_current(&board, "BBBBBBBBBBBBBBBBBBBBBB").await);
    let waiting = tokio::spawn({
        let board = Arc::clone(&board);
        async move { is_current(&board, TOKEN).await }
    });
    while shelf.questions.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    shelf.down.store(false, Ordering::SeqCst);
    assert!(timeout(PATIENCE, waiting).await.expect("in time").expect("an answer"));
}

#[tokio::test]
async fn who_has_hung_up_takes_no_place() {
    let shelf = Arc::new(Shelf { down: AtomicBool::new(true), ..one_response() });
    let board = board(&shelf, 2);
    for number in 0..20 {
        let token = format!("{number:043}");
        assert!(timeout(Duration::from_millis(1), board.find(&token)).await.is_err(), "it waited");
    }
    shelf.down.store(false, Ordering::SeqCst);
    assert!(timeout(PATIENCE, is_current(&board, TOKEN)).await.expect("in time"));
}

#[tokio::test]
async fn what_has_gone_from_the_ledger_is_asked_about_before_it_is_served_again() {
    let shelf = Arc::new(one_response());
    let board = board(&shelf, WAITING_MAX);
    let gone = "CCCCCCCCCCCCCCCCCCCCCC";
    board.post(&[presented(gone)]);
    board.post(&[presented(TOKEN)]);
    board.replace(&[presented("DDDDDDDDDDDDDDDDDDDDDD")]);
    assert!(
        matches!(board.find(gone).await, Ok(Found::Withdrawn(_))),
        "late requests are told from strange ones"
    );
    assert!(is_current(&board, TOKEN).await, "it came after the ledger was read");
    assert!(is_current(&board, "DDDDDDDDDDDDDDDDDDDDDD").await);
    board.replace(&[presented(TOKEN)]);
    assert!(matches!(board.find(gone).await, Ok(Found::Nothing)), "forgotten the second time");
    assert!(is_current(&board, TOKEN).await);
}

#[tokio::test]
async fn what_is_announced_is_on_the_board_at_once_and_its_orders_are_told_once() {
    let shelf = Arc::new(Shelf { down: true.into(), ..Shelf::default() });
    let board = Arc::new(board(&shelf, WAITING_MAX));
    let announcer = Announcer::new(Some(Arc::clone(&board)));
    let other = Presented { order: OrderId(Uuid::from_u128(8)), ..presented("EEEEEEEEEEEEEEEEEEEEEE") };
    announcer.announce(&[presented(TOKEN), presented("FFFFFFFFFFFFFFFFFFFFFF"), other]);
    announcer.announce(&[presented(TOKEN)]);
    assert!(is_current(&board, TOKEN).await);
    let mut told = timeout(PATIENCE, announcer.next()).await.expect("at once");
    told.sort();
    assert_eq!(told, [ORDER, OrderId(Uuid::from_u128(8))]);
    assert!(timeout(Duration::from_millis(1), announcer.next()).await.is_err());
}
