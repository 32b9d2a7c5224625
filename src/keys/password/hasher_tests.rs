use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use relatch_domain::password_rules::Password;
use tokio::sync::oneshot;

use super::*;
use crate::keys::password::permit::Job;

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
fn pool(threads: usize, hash_time: Duration) -> Arc<Pool> {
    let pool = Pool::new(cheap(), size(threads), Random);
    *pool.hash_time() = HashTime::of_cost(12);
    for _ in 0..200 {
        pool.hash_time().took(hash_time, Instant::now());
    }
    Arc::new(pool)
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

/// One without a free permit.
fn taken(threads: usize, hash_time: Duration) -> Arc<Pool> {
    let pool = pool(threads, hash_time);
    pool.state().free = 0;
    pool
}

/// Frees one permit for the next caller.
fn grant_one(pool: &Arc<Pool>) {
    pool.state().free = 1;
    pool.grant_permits();
}

#[tokio::test]
async fn a_password_verifies_against_its_own_hash_only() {
    let hasher = started(2);
    let admission = hasher.admit(&[]).unwrap();
    for text in ["correct horse".to_owned(), "x".repeat(200)] {
        let hash = admission.hash(password(&text)).await.unwrap();
        let permit = admission.permit().await.unwrap();
        assert!(permit.verify(password(&text), Some(hash.clone())).await.unwrap());
        assert!(!permit.verify(password("wrong horse"), Some(hash)).await.unwrap());
    }
    let permit = admission.permit().await.unwrap();
    assert!(!permit.verify(password("correct horse"), None).await.unwrap());
    assert!(!permit.refuse().await.unwrap());
}

#[tokio::test]
async fn two_hashes_of_one_password_have_different_salts() {
    let hasher = started(1);
    let permit = hasher.admit(&[]).unwrap().permit().await.unwrap();
    let first = permit.hash(password("correct horse")).await.unwrap();
    assert_ne!(first, permit.hash(password("correct horse")).await.unwrap());
}

#[tokio::test]
async fn a_damaged_hash_is_an_error_not_a_wrong_password() {
    let hasher = started(1);
    let permit = hasher.admit(&[]).unwrap().permit().await.unwrap();
    let answer = permit.verify(password("correct horse"), Some("$2b$04$short".to_owned())).await;
    assert!(matches!(answer, Err(HashingError::Unreadable(UnreadableHash::Malformed))));
}

/// Metrics that are read after an answer must know of it.
#[tokio::test]
async fn a_password_is_counted_before_its_answer_is_sent() {
    let pool = pool(1, SECOND);
    let permit = pool.admit(&[]).unwrap().permit().await.unwrap();
    let mut answer = pin!(permit.hash(password("one")));
    assert!(poll(answer.as_mut()).is_pending());
    let job = pool.state().jobs.pop_front().unwrap();
    let mut before = None;
    thread::scope(|scope| {
        scope.spawn(|| job.run());
        while poll(answer.as_mut()).is_pending() {
            thread::yield_now();
        }
        before = Some(pool.hash_time().expected(Instant::now()));
    });
    assert!(before.unwrap() < SECOND);
}

#[test]
fn a_caller_that_would_wait_too_long_is_refused() {
    let let_in = |pool: &Arc<Pool>, share| {
        std::iter::from_fn(|| {
            let admission = pool.admit(&[share]).ok()?;
            pool.push(&admission, oneshot::channel().0).ok()?;
            Some(admission)
        })
        .collect::<Vec<_>>()
    };
    let one = taken(1, Duration::from_millis(250));
    let mut admissions = let_in(&one, address(1));
    assert_eq!(
        admissions.len(),
        41,
        "the last of them waits for forty others, ten seconds; a lone address has all of it"
    );
    assert_eq!(let_in(&one, address(2)).len(), 20, "half of the permits are for another");
    grant_one(&one);
    drop(admissions.pop());
    assert_eq!(let_in(&one, address(1)).len(), 1);
    assert_eq!(let_in(&taken(3, 2 * SECOND), address(1)).len(), 18);
}

#[test]
fn as_many_may_wait_as_can_be_hashed_in_time() {
    let of_cost = |cost| Pool::new(Cost::new(cost).unwrap(), size(1), Random).places();
    assert_eq!([of_cost(12), of_cost(14), of_cost(4)], [40, 10, 1000]);
}

/// Twenty sign-ins to one account, or registrations, are served after one of another party.
#[tokio::test]
async fn one_who_asks_for_much_waits_behind_others() {
    let crowds: [&[Share<'_>]; 3] = [
        &[account("mallory"), address(1)],
        &[account("mallory"), address(2)],
        &[share(ShareOf::Registrations), address(3)],
    ];
    for shares in crowds {
        let pool = taken(1, SECOND / 4);
        let crowd: Vec<_> = (0..20).map(|_| pool.admit(shares).unwrap()).collect();
        let mut waiting: Vec<_> = crowd.iter().map(|admission| Box::pin(admission.permit())).collect();
        assert!(waiting.iter_mut().all(|one| poll(one.as_mut()).is_pending()));
        let honest = pool.admit(&[account("ada"), address(9)]).unwrap();
        let mut permit = pin!(honest.permit());
        assert!(poll(permit.as_mut()).is_pending());
        grant_one(&pool);
        let mut has_permit = waiting.iter_mut().map(|one| poll(one.as_mut()).is_ready());
        assert_eq!(has_permit.next(), Some(true), "who came before it with as little");
        assert!(!has_permit.any(|has_permit| has_permit));
        grant_one(&pool);
        assert!(poll(permit).is_ready());
    }
}

/// Tries that count until they have succeeded must not be so many that they look like guesses.
#[tokio::test]
async fn an_account_has_so_many_turns_at_once_and_the_next_when_one_ends() {
    let pool = pool(8, SECOND / 4);
    let mine = Share { at_once: 2, ..account("ada") };
    let admissions: Vec<_> = (0..3).map(|_| pool.admit(&[mine]).unwrap()).collect();
    let (first, _second) = (admissions[0].permit().await.unwrap(), admissions[1].permit().await.unwrap());
    let mut third = pin!(admissions[2].permit());
    assert!(poll(third.as_mut()).is_pending());
    pool.admit(&[account("eve")]).unwrap().permit().await.unwrap();
    assert!(poll(third.as_mut()).is_pending());
    drop(first);
    assert!(poll(third).is_ready());
}

/// What is admitted counts, whether it waits already or not.
#[test]
fn one_account_cannot_hold_all_claims() {
    let pool = pool(1, SECOND / 4);
    let admissions = |share| std::iter::from_fn(|| pool.admit(&[share]).ok()).take(1000).collect::<Vec<_>>();
    let held = admissions(account("mallory"));
    assert_eq!(held.len(), 41);
    assert_eq!(admissions(address(1)).len(), 41);
    let all: Vec<_> = (2..9).map(|last| admissions(address(last))).collect();
    let first_of_each = all.len();
    assert!(all.iter().all(|admissions| !admissions.is_empty()), "who has nothing under way is not kept out");
    let together = held.len() + all.iter().map(Vec::len).sum::<usize>();
    assert!(
        (40 * ADMISSIONS_PER_PLACE..=40 * ADMISSIONS_PER_PLACE + first_of_each).contains(&together),
        "{together}"
    );
    assert!(pool.admit(&[address(8)]).is_err(), "with one under way");
    assert!(pool.admit(&[account("ada")]).is_ok());
    assert!(pool.admit(&[]).is_ok());
    drop(held);
    assert!(pool.admit(&[address(8)]).is_ok());
    drop(all);
    assert_eq!(pool.state().queue.admitted(), 0);
}

#[tokio::test]
async fn a_queue_without_room_takes_one_with_a_better_claim_in_place_of_the_last() {
    let pool = taken(1, Duration::from_micros(1));
    let crowd: Vec<_> = (0..MOST_WAITING).map(|_| pool.admit(&[account("mallory")]).unwrap()).collect();
    let mut waiting: Vec<_> = crowd.iter().map(|admission| Box::pin(admission.permit())).collect();
    assert!(waiting.iter_mut().all(|one| poll(one.as_mut()).is_pending()));
    let more = pool.admit(&[account("mallory")]).unwrap();
    assert!(matches!(more.permit().await, Err(HashingError::Busy(_))));
    let honest = pool.admit(&[account("ada")]).unwrap();
    assert!(poll(pin!(honest.permit()).as_mut()).is_pending());
    let last = waiting.last_mut().unwrap();
    assert!(matches!(poll(last.as_mut()), Poll::Ready(Err(HashingError::Busy(_)))));
    assert_eq!(pool.state().queue.len(), MOST_WAITING - 1, "the honest one has gone, too");
}

#[tokio::test]
async fn one_whose_turn_does_not_come_in_time_waits_no_longer() {
    let max_wait = Duration::from_millis(20);
    let pool = Arc::new(Pool::new(cheap(), HasherSize { max_wait, ..size(1) }, Random));
    pool.state().free = 0;
    let admission = pool.admit(&[]).unwrap();
    let begun = Instant::now();
    assert!(matches!(admission.permit().await, Err(HashingError::Busy(_))));
    assert!(begun.elapsed() >= max_wait);
    assert_eq!(pool.state().queue.len(), 0);
}

#[test]
fn those_who_are_turned_away_do_not_all_come_again_at_once() {
    let after = |wait: Duration| -> Vec<u64> {
        let pool = pool(1, SECOND);
        let refused = |_| match pool.busy(wait) {
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
    let pool = pool(1, SECOND);
    assert_eq!(pool.state().free, 2);
    let admission = pool.admit(&[]).unwrap();
    let (staying, going) = (admission.permit().await.unwrap(), admission.permit().await.unwrap());
    let mut third = Box::pin(admission.permit());
    assert!(poll(third.as_mut()).is_pending());
    let mut stays = Box::pin(staying.refuse());
    let mut goes = Box::pin(going.refuse());
    assert!(poll(stays.as_mut()).is_pending());
    assert!(poll(goes.as_mut()).is_pending());
    drop(goes);
    drop(going);
    assert!(poll(third.as_mut()).is_pending(), "a thread might be at it");
    let jobs: Vec<_> = std::mem::take(&mut pool.state().jobs).into();
    assert_eq!(jobs.iter().map(Job::is_wanted).collect::<Vec<_>>(), [true, false]);
    drop(jobs);
    assert!(poll(third.as_mut()).is_ready());
    drop(third);
    drop(stays);
    drop(staying);
    assert_eq!(pool.state().free, 2);

    pool.state().free = 0;
    let mut waiting = Box::pin(admission.permit());
    assert!(poll(waiting.as_mut()).is_pending());
    drop(waiting);
    assert_eq!(pool.state().queue.len(), 0);
}

#[tokio::test]
async fn its_threads_end_when_it_is_dropped_and_all_is_done() {
    let hasher = PasswordHasher { pool: pool(3, SECOND) };
    let pool = Arc::clone(&hasher.pool);
    let permit = hasher.admit(&[]).unwrap().permit().await.unwrap();
    let mut answer = pin!(permit.refuse());
    assert!(poll(answer.as_mut()).is_pending());
    drop(hasher);
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let pool = Arc::clone(&pool);
            thread::spawn(move || work(&pool, Job::run))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(matches!(poll(answer), Poll::Ready(Ok(false))));

    let hasher = started(2);
    let pool = Arc::downgrade(&hasher.pool);
    drop(hasher);
    let patience = Instant::now() + Duration::from_secs(20);
    while pool.strong_count() > 0 {
        assert!(Instant::now() < patience, "a thread goes on");
        thread::yield_now();
    }
}

#[tokio::test]
async fn a_thread_whose_work_panics_goes_on_and_its_turn_ends() {
    let pool = pool(1, SECOND);
    let thread = {
        let pool = Arc::clone(&pool);
        let run = |job: Job| {
            assert_ne!(job.password.as_bytes(), b"panic");
            job.run();
        };
        thread::spawn(move || work(&pool, run))
    };
    for _ in 0..3 {
        let permit = pool.admit(&[]).unwrap().permit().await.unwrap();
        assert!(matches!(permit.verify(password("panic"), None).await, Err(HashingError::Stopped)));
    }
    let permit = pool.admit(&[]).unwrap().permit().await.unwrap();
    assert!(matches!(permit.verify(password("one"), None).await, Ok(false)));
    drop(permit);
    pool.state().is_stopping = true;
    pool.more.notify_all();
    thread.join().unwrap();
    assert_eq!(pool.state().free, 2);
}

#[test]
fn by_default_a_core_is_left_to_everyone_else() {
    let cores = thread::available_parallelism().unwrap().get();
    assert_eq!(HasherSize::default_threads().get(), (cores - 1).max(1));
}
