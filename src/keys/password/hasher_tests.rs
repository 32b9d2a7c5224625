use std::future::Future;
use std::pin::pin;
use std::sync::Weak;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::*;

fn password(text: &str) -> Password {
    Password::parse(text).unwrap()
}

fn cheap() -> Cost {
    Cost::new(4).unwrap()
}

fn size(threads: usize) -> HasherSize {
    HasherSize::with_threads(NonZeroUsize::new(threads).unwrap())
}

fn two_may_wait() -> HasherSize {
    HasherSize { queue: 2, ..size(1) }
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn a_password_verifies_against_its_own_hash_only() {
    let hasher = PasswordHasher::start(cheap(), size(2), Random).unwrap();
    for text in ["correct horse".to_owned(), "x".repeat(200)] {
        let hash = hasher.hash(password(&text)).await.unwrap();
        assert!(hasher.verify(password(&text), Some(hash.clone())).await.unwrap());
        assert!(!hasher.verify(password("wrong horse"), Some(hash)).await.unwrap());
    }
    assert!(!hasher.verify(password("correct horse"), None).await.unwrap());
}

#[tokio::test]
async fn two_hashes_of_one_password_have_different_salts() {
    let hasher = PasswordHasher::start(cheap(), size(1), Random).unwrap();
    let first = hasher.hash(password("correct horse")).await.unwrap();
    assert_ne!(first, hasher.hash(password("correct horse")).await.unwrap());
}

#[tokio::test]
async fn a_damaged_hash_is_an_error_not_a_wrong_password() {
    let hasher = PasswordHasher::start(cheap(), size(1), Random).unwrap();
    let answer = hasher.verify(password("correct horse"), Some("$2b$04$short".to_owned())).await;
    assert!(matches!(answer, Err(HashingError::Unreadable(UnreadableHash::Malformed))));
}

/// Metrics that are read after an answer must know of it.
#[test]
fn a_password_is_counted_before_its_answer_is_sent() {
    let (hasher, jobs) = PasswordHasher::without_threads(cheap(), two_may_wait(), Random);
    let mut answer = pin!(hasher.hash(password("one")));
    assert!(poll(answer.as_mut()).is_pending());
    let job = jobs.try_recv().unwrap();
    let mut before = None;
    thread::scope(|scope| {
        scope.spawn(|| job.run(&hasher.load, cheap()));
        while poll(answer.as_mut()).is_pending() {
            thread::yield_now();
        }
        before = Some(hasher.load.pace.load(Ordering::Relaxed));
    });
    assert!(before.unwrap() > 0);
}

#[test]
fn a_full_queue_says_so_at_once_and_has_room_again_when_a_job_is_taken() {
    let (hasher, jobs) = PasswordHasher::without_threads(cheap(), two_may_wait(), Random);
    let (mut first, mut second) = (pin!(hasher.hash(password("one"))), pin!(hasher.hash(password("two"))));
    assert!(poll(first.as_mut()).is_pending());
    assert!(poll(second.as_mut()).is_pending());
    assert!(matches!(poll(pin!(hasher.hash(password("three")))), Poll::Ready(Err(HashingError::Busy(_)))));

    jobs.try_recv().unwrap().run(&hasher.load, cheap());
    assert!(matches!(poll(first), Poll::Ready(Ok(_))));
    assert!(poll(pin!(hasher.hash(password("three")))).is_pending());
}

fn load(threads: usize) -> Arc<Load> {
    Arc::new(Load::of(HasherSize { queue: 1000, ..size(threads) }))
}

#[test]
fn nobody_is_let_in_who_would_wait_too_long() {
    let let_in = |load: &Arc<Load>| std::iter::from_fn(|| load.join().ok()).collect::<Vec<_>>();
    let one = load(1);
    one.took(Duration::from_millis(250));
    let mut places = let_in(&one);
    assert_eq!(places.len(), 17, "the last of them waits for sixteen others, four seconds");
    drop(places.pop());
    places.extend(let_in(&one));
    assert_eq!(places.len(), 17);
    let three = load(3);
    three.took(Duration::from_secs(2));
    assert_eq!(let_in(&three).len(), 9);
    assert_eq!(let_in(&load(1)).len(), 1000, "before anything is known");
    for _ in 0..100 {
        one.took(Duration::from_secs(1));
    }
    assert!((900_000..=1_000_000).contains(&one.pace.load(Ordering::Relaxed)));
}

#[test]
fn visitors_come_in_as_long_as_there_is_room_and_some_more_than_that() {
    let load = Arc::new(Load::of(HasherSize { queue: 2, ..size(1) }));
    let visits: Vec<_> = std::iter::from_fn(|| load.visit().ok()).collect();
    assert_eq!(visits.len(), 2 * VISITORS);
    let places: Vec<_> = std::iter::from_fn(|| load.join().ok()).collect();
    assert_eq!(places.len(), 2, "they have not joined the queue");
    drop(visits);
    assert!(load.visit().is_err(), "whoever would have to wait need not come in");
    drop(places);
    assert!(load.visit().is_ok());
    assert_eq!(load.visiting.load(Ordering::Relaxed), 0);
}

#[test]
fn those_who_are_turned_away_do_not_all_come_again_at_once() {
    let after = |pace: Duration, queue: usize| -> Vec<u64> {
        let load = Arc::new(Load::of(HasherSize { queue, ..size(1) }));
        load.took(pace);
        let _places: Vec<_> = std::iter::from_fn(|| load.join().ok()).collect();
        let refused = |_| match load.join() {
            Err(HashingError::Busy(again)) => again.as_secs(),
            other => panic!("{other:?}"),
        };
        (0..6).map(refused).collect()
    };
    assert_eq!(
        after(Duration::from_millis(250), 1000),
        [2, 3, 4, 1, 2, 3],
        "one in four each second, the first of them let the crowd stop"
    );
    assert_eq!(after(Duration::from_millis(1), 4), [1; 6], "a queue that is worked off in no time");
}

/// The threads' `nice`, as the system has it.
#[test]
fn its_threads_stand_back() {
    let hasher = PasswordHasher::start(cheap(), size(2), Random).unwrap();
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

#[test]
fn work_whose_caller_has_gone_is_not_done() {
    let (hasher, jobs) = PasswordHasher::without_threads(cheap(), two_may_wait(), Random);
    let mut staying = Box::pin(hasher.verify(password("one"), None));
    let mut going = Box::pin(hasher.verify(password("two"), None));
    assert!(poll(staying.as_mut()).is_pending());
    assert!(poll(going.as_mut()).is_pending());
    drop(going);

    assert!(jobs.try_recv().unwrap().is_wanted());
    assert!(!jobs.try_recv().unwrap().is_wanted());
}

#[test]
fn without_its_threads_it_has_stopped() {
    let (hasher, jobs) = PasswordHasher::without_threads(cheap(), two_may_wait(), Random);
    let mut waiting = pin!(hasher.verify(password("one"), None));
    assert!(poll(waiting.as_mut()).is_pending());
    drop(jobs);
    assert!(matches!(poll(waiting), Poll::Ready(Err(HashingError::Stopped))));
    assert!(matches!(poll(pin!(hasher.hash(password("two")))), Poll::Ready(Err(HashingError::Stopped))));
}

#[test]
fn its_threads_end_when_it_is_dropped() {
    let (hasher, jobs) = PasswordHasher::without_threads(cheap(), two_may_wait(), Random);
    let jobs = Arc::new(Mutex::new(jobs));
    let held: Weak<_> = Arc::downgrade(&jobs);
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let (jobs, load) = (Arc::clone(&jobs), Arc::clone(&hasher.load));
            thread::spawn(move || work(&jobs, &load, cheap()))
        })
        .collect();
    drop((hasher, jobs));
    let patience = Instant::now() + Duration::from_secs(20);
    for thread in threads {
        while !thread.is_finished() && Instant::now() < patience {
            thread::yield_now();
        }
        assert!(thread.is_finished(), "a thread goes on");
        thread.join().unwrap();
    }
    assert_eq!(held.strong_count(), 0);
}

#[test]
fn the_default_size_leaves_a_core_to_everyone_else() {
    let cores = thread::available_parallelism().unwrap().get();
    let size = HasherSize::default();
    assert_eq!(size.threads.get(), (cores - 1).max(1));
    assert_eq!(size.queue, size.threads.get() * 16);
}
