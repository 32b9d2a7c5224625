use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use relatch_domain::password_rules::Password;
use tokio::sync::oneshot;

use super::*;
use crate::keys::password::turn::Job;

const SECOND: Duration = Duration::from_secs(1);

fn password(text: &str) -> Password {
    Password::parse(text).unwrap()
}

fn cheap() -> Cost {
    Cost::new(4).unwrap()
}

fn size(threads: usize) -> HasherSize {
    HasherSize { threads: NonZeroUsize::new(threads).unwrap(), max_wait: 10 * SECOND }
}

fn started(threads: usize) -> PasswordHasher {
    PasswordHasher::start(cheap(), size(threads), Random).unwrap()
}

/// One without threads, where a hash takes so long.
fn desk(threads: usize, pace: Duration) -> Arc<Desk> {
    let desk = Desk::new(cheap(), size(threads), Random);
    *desk.pace() = Pace::of_cost(12);
    for _ in 0..200 {
        desk.pace().took(pace, Instant::now());
    }
    Arc::new(desk)
}

const fn share(of: ShareOf<'_>) -> Share<'_> {
    Share { of, callers: 1, at_once: u32::MAX }
}

fn address(last: u8) -> Share<'static> {
    share(ShareOf::Address(Ipv4Addr::new(192, 0, 2, last).into()))
}

const fn account(name: &str) -> Share<'_> {
    share(ShareOf::Account(name))
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// One where nobody gets a turn.
fn taken(threads: usize, pace: Duration) -> Arc<Desk> {
    let desk = desk(threads, pace);
    desk.state().free = 0;
    desk
}

/// Lets one have a turn, which does not end.
fn give_a_turn(desk: &Arc<Desk>) {
    desk.state().free = 1;
    desk.hand_out();
}

#[tokio::test]
async fn a_password_verifies_against_its_own_hash_only() {
    let hasher = started(2);
    let claim = hasher.claim(&[]).unwrap();
    for text in ["correct horse".to_owned(), "x".repeat(200)] {
        let hash = claim.hash(password(&text)).await.unwrap();
        let turn = claim.turn().await.unwrap();
        assert!(turn.verify(password(&text), Some(hash.clone())).await.unwrap());
        assert!(!turn.verify(password("wrong horse"), Some(hash)).await.unwrap());
    }
    let turn = claim.turn().await.unwrap();
    assert!(!turn.verify(password("correct horse"), None).await.unwrap());
    assert!(!turn.refuse().await.unwrap());
}

#[tokio::test]
async fn two_hashes_of_one_password_have_different_salts() {
    let hasher = started(1);
    let turn = hasher.claim(&[]).unwrap().turn().await.unwrap();
    let first = turn.hash(password("correct horse")).await.unwrap();
    assert_ne!(first, turn.hash(password("correct horse")).await.unwrap());
}

#[tokio::test]
async fn a_damaged_hash_is_an_error_not_a_wrong_password() {
    let hasher = started(1);
    let turn = hasher.claim(&[]).unwrap().turn().await.unwrap();
    let answer = turn.verify(password("correct horse"), Some("$2b$04$short".to_owned())).await;
    assert!(matches!(answer, Err(HashingError::Unreadable(UnreadableHash::Malformed))));
}

/// Metrics that are read after an answer must know of it.
#[tokio::test]
async fn a_password_is_counted_before_its_answer_is_sent() {
    let desk = desk(1, SECOND);
    let turn = desk.claim(&[]).unwrap().turn().await.unwrap();
    let mut answer = pin!(turn.hash(password("one")));
    assert!(poll(answer.as_mut()).is_pending());
    let job = desk.state().jobs.pop_front().unwrap();
    let mut before = None;
    thread::scope(|scope| {
        scope.spawn(|| job.run());
        while poll(answer.as_mut()).is_pending() {
            thread::yield_now();
        }
        before = Some(desk.pace().expected(Instant::now()));
    });
    assert!(before.unwrap() < SECOND);
}

#[test]
fn nobody_is_let_in_who_would_wait_too_long() {
    let let_in = |desk: &Arc<Desk>, share| {
        std::iter::from_fn(|| {
            let claim = desk.claim(&[share]).ok()?;
            desk.push(&claim, oneshot::channel().0).ok()?;
            Some(claim)
        })
        .collect::<Vec<_>>()
    };
    let one = taken(1, Duration::from_millis(250));
    let mut claims = let_in(&one, address(1));
    assert_eq!(
        claims.len(),
        41,
        "the last of them waits for forty others, ten seconds; a lone address has all of it"
    );
    assert_eq!(let_in(&one, address(2)).len(), 20, "half of the turns are for another");
    give_a_turn(&one);
    drop(claims.pop());
    assert_eq!(let_in(&one, address(1)).len(), 1);
    assert_eq!(let_in(&taken(3, 2 * SECOND), address(1)).len(), 18);
}

#[test]
fn as_many_may_wait_as_can_be_hashed_in_time() {
    let of_cost = |cost| Desk::new(Cost::new(cost).unwrap(), size(1), Random).places();
    assert_eq!([of_cost(12), of_cost(14), of_cost(4)], [40, 10, 1000]);
}

/// Twenty sign-ins to one account, or registrations, have their turns after one of somebody else.
#[tokio::test]
async fn one_who_asks_for_much_waits_behind_others() {
    let crowds: [&[Share<'_>]; 3] = [
        &[account("mallory"), address(1)],
        &[account("mallory"), address(2)],
        &[share(ShareOf::Registrations), address(3)],
    ];
    for shares in crowds {
        let desk = taken(1, SECOND / 4);
        let crowd: Vec<_> = (0..20).map(|_| desk.claim(shares).unwrap()).collect();
        let mut waiting: Vec<_> = crowd.iter().map(|claim| Box::pin(claim.turn())).collect();
        assert!(waiting.iter_mut().all(|one| poll(one.as_mut()).is_pending()));
        let honest = desk.claim(&[account("ada"), address(9)]).unwrap();
        let mut turn = pin!(honest.turn());
        assert!(poll(turn.as_mut()).is_pending());
        give_a_turn(&desk);
        let mut has_turn = waiting.iter_mut().map(|one| poll(one.as_mut()).is_ready());
        assert_eq!(has_turn.next(), Some(true), "who came before it with as little");
        assert!(!has_turn.any(|has_turn| has_turn));
        give_a_turn(&desk);
        assert!(poll(turn).is_ready());
    }
}

/// Tries that count until they have succeeded must not be so many that they look like guesses.
#[tokio::test]
async fn an_account_has_so_many_turns_at_once_and_the_next_when_one_ends() {
    let desk = desk(8, SECOND / 4);
    let mine = Share { at_once: 2, ..account("ada") };
    let claims: Vec<_> = (0..3).map(|_| desk.claim(&[mine]).unwrap()).collect();
    let (first, _second) = (claims[0].turn().await.unwrap(), claims[1].turn().await.unwrap());
    let mut third = pin!(claims[2].turn());
    assert!(poll(third.as_mut()).is_pending());
    desk.claim(&[account("eve")]).unwrap().turn().await.unwrap();
    assert!(poll(third.as_mut()).is_pending());
    drop(first);
    assert!(poll(third).is_ready());
}

/// What is claimed counts, whether it waits already or not.
#[test]
fn one_account_cannot_hold_all_claims() {
    let desk = desk(1, SECOND / 4);
    let claims = |share| std::iter::from_fn(|| desk.claim(&[share]).ok()).take(1000).collect::<Vec<_>>();
    let held = claims(account("mallory"));
    assert_eq!(held.len(), 41);
    assert_eq!(claims(address(1)).len(), 41);
    let all: Vec<_> = (2..9).map(|last| claims(address(last))).collect();
    let first_of_each = all.len();
    assert!(all.iter().all(|claims| !claims.is_empty()), "who has nothing under way is not kept out");
    let together = held.len() + all.iter().map(Vec::len).sum::<usize>();
    assert!((40 * CLAIMS..=40 * CLAIMS + first_of_each).contains(&together), "{together}");
    assert!(desk.claim(&[address(8)]).is_err(), "with one under way");
    assert!(desk.claim(&[account("ada")]).is_ok());
    assert!(desk.claim(&[]).is_ok());
    drop(held);
    assert!(desk.claim(&[address(8)]).is_ok());
    drop(all);
    assert_eq!(desk.state().queue.claimed(), 0);
}

#[tokio::test]
async fn a_queue_without_room_takes_one_with_a_better_claim_in_place_of_the_last() {
    let desk = taken(1, Duration::from_micros(1));
    let crowd: Vec<_> = (0..MOST_WAITING).map(|_| desk.claim(&[account("mallory")]).unwrap()).collect();
    let mut waiting: Vec<_> = crowd.iter().map(|claim| Box::pin(claim.turn())).collect();
    assert!(waiting.iter_mut().all(|one| poll(one.as_mut()).is_pending()));
    let more = desk.claim(&[account("mallory")]).unwrap();
    assert!(matches!(more.turn().await, Err(HashingError::Busy(_))));
    let honest = desk.claim(&[account("ada")]).unwrap();
    assert!(poll(pin!(honest.turn()).as_mut()).is_pending());
    let last = waiting.last_mut().unwrap();
    assert!(matches!(poll(last.as_mut()), Poll::Ready(Err(HashingError::Busy(_)))));
    assert_eq!(desk.state().queue.len(), MOST_WAITING - 1, "the honest one has gone, too");
}

#[tokio::test]
async fn one_whose_turn_does_not_come_in_time_waits_no_longer() {
    let max_wait = Duration::from_millis(20);
    let desk = Arc::new(Desk::new(cheap(), HasherSize { max_wait, ..size(1) }, Random));
    desk.state().free = 0;
    let claim = desk.claim(&[]).unwrap();
    let begun = Instant::now();
    assert!(matches!(claim.turn().await, Err(HashingError::Busy(_))));
    assert!(begun.elapsed() >= max_wait);
    assert_eq!(desk.state().queue.len(), 0);
}

#[test]
fn those_who_are_turned_away_do_not_all_come_again_at_once() {
    let after = |wait: Duration| -> Vec<u64> {
        let desk = desk(1, SECOND);
        let refused = |_| match desk.busy(wait) {
            HashingError::Busy(again) => again.as_secs(),
            other => panic!("{other:?}"),
        };
        (0..6).map(refused).collect()
    };
    assert_eq!(after(4 * SECOND), [1, 2, 3, 4, 1, 2], "one in four each second");
    assert_eq!(after(SECOND / 1000), [1; 6], "a queue that is worked off in no time");
    assert!(after(1000 * SECOND).iter().all(|again| *again <= 10));
}

/// The threads' `nice`, as the system has it.
#[test]
fn its_threads_stand_back() {
    let hasher = started(2);
    let niceness = |task: std::path::PathBuf| {
        let stat = std::fs::read_to_string(task.join("stat")).ok()?;
        // The name stands in brackets and may hold anything; nice is the nineteenth field, the seventeenth after it.
        let (_, rest) = stat.rsplit_once(')')?;
        rest.split_ascii_whitespace().nth(16)?.parse::<i32>().ok()
    };
    let hashing = || -> Vec<i32> {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
        let is_ours = |task: &std::path::PathBuf| {
            std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.starts_with("password-"))
        };
        tasks.filter(is_ours).filter_map(niceness).collect()
    };
    let patience = Instant::now() + Duration::from_secs(20);
    while hashing().iter().filter(|nice| **nice >= NICE).count() < 2 {
        assert!(Instant::now() < patience, "{:?}", hashing());
        thread::yield_now();
    }
    drop(hasher);
}

#[tokio::test]
async fn work_whose_caller_has_gone_is_not_done_and_leaves_its_turn_to_others() {
    let desk = desk(1, SECOND);
    assert_eq!(desk.state().free, 2);
    let claim = desk.claim(&[]).unwrap();
    let (staying, going) = (claim.turn().await.unwrap(), claim.turn().await.unwrap());
    let mut third = Box::pin(claim.turn());
    assert!(poll(third.as_mut()).is_pending());
    let mut stays = Box::pin(staying.refuse());
    let mut goes = Box::pin(going.refuse());
    assert!(poll(stays.as_mut()).is_pending());
    assert!(poll(goes.as_mut()).is_pending());
    drop(goes);
    drop(going);
    assert!(poll(third.as_mut()).is_pending(), "a thread might be at it");
    let jobs: Vec<_> = std::mem::take(&mut desk.state().jobs).into();
    assert_eq!(jobs.iter().map(Job::is_wanted).collect::<Vec<_>>(), [true, false]);
    drop(jobs);
    assert!(poll(third.as_mut()).is_ready());
    drop(third);
    drop(stays);
    drop(staying);
    assert_eq!(desk.state().free, 2);

    desk.state().free = 0;
    let mut waiting = Box::pin(claim.turn());
    assert!(poll(waiting.as_mut()).is_pending());
    drop(waiting);
    assert_eq!(desk.state().queue.len(), 0);
}

#[tokio::test]
async fn its_threads_end_when_it_is_dropped_and_all_is_done() {
    let hasher = PasswordHasher { desk: desk(3, SECOND) };
    let desk = Arc::clone(&hasher.desk);
    let turn = hasher.claim(&[]).unwrap().turn().await.unwrap();
    let mut answer = pin!(turn.refuse());
    assert!(poll(answer.as_mut()).is_pending());
    drop(hasher);
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let desk = Arc::clone(&desk);
            thread::spawn(move || work(&desk, Job::run))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(matches!(poll(answer), Poll::Ready(Ok(false))));

    let hasher = started(2);
    let desk = Arc::downgrade(&hasher.desk);
    drop(hasher);
    let patience = Instant::now() + Duration::from_secs(20);
    while desk.strong_count() > 0 {
        assert!(Instant::now() < patience, "a thread goes on");
        thread::yield_now();
    }
}

#[tokio::test]
async fn a_thread_whose_work_panics_goes_on_and_its_turn_ends() {
    let desk = desk(1, SECOND);
    let thread = {
        let desk = Arc::clone(&desk);
        let run = |job: Job| {
            assert_ne!(job.password.as_bytes(), b"panic");
            job.run();
        };
        thread::spawn(move || work(&desk, run))
    };
    for _ in 0..3 {
        let turn = desk.claim(&[]).unwrap().turn().await.unwrap();
        assert!(matches!(turn.verify(password("panic"), None).await, Err(HashingError::Stopped)));
    }
    let turn = desk.claim(&[]).unwrap().turn().await.unwrap();
    assert!(matches!(turn.verify(password("one"), None).await, Ok(false)));
    drop(turn);
    desk.state().is_stopping = true;
    desk.more.notify_all();
    thread.join().unwrap();
    assert_eq!(desk.state().free, 2);
}

#[test]
fn by_default_a_core_is_left_to_everyone_else() {
    let cores = thread::available_parallelism().unwrap().get();
    assert_eq!(HasherSize::default_threads().get(), (cores - 1).max(1));
}
