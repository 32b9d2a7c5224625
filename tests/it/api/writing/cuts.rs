//! Each use case, cut off from its store at each of its writes; then repeated on the same node, repeated on another one, or
//! not repeated.

use relatch_testkit::cutter::{Fate, Lasts};
use relatch_testkit::{Answer, Node, TestApp};
use tokio::task::JoinSet;

use super::Stage;
use super::acts::{Act, CHANGES, ENDS, Kind};
use super::look::{Outcome, Stored, are_refused_soon, at_rest, until_closed};

/// More writes than any use case makes.
const MOST: usize = 20;
const WAYS: [(Fate, Lasts); 3] =
    [(Fate::Before, Lasts::Onwards), (Fate::After, Lasts::Onwards), (Fate::After, Lasts::Once)];

/// What the client does when it was not answered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Then {
    RepeatsThere,
    RepeatsElsewhere,
    GivesUp,
}

impl Then {
    pub(super) const fn of(round: usize) -> Self {
        match round % 3 {
            0 => Self::RepeatsElsewhere,
            1 => Self::RepeatsThere,
            _ => Self::GivesUp,
        }
    }
}

/// Sends a request until it is answered. Gives how often it was sent.
async fn repeat(act: &Act, node: &Node, how: &str) -> (Answer, usize) {
    for tries in 1..100 {
        let answer = act.call.send(node).await;
        if answer.status != 503 {
            assert!(act.kind.is_answer_to_repetition(&answer), "{how}: {} {}", answer.status, answer.text);
            return (answer, tries);
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{how}: never answered")
}

/// What the client has of it in the end.
pub(super) async fn follow_up(
    act: Act,
    first: Option<Answer>,
    then: Then,
    [there, elsewhere]: [&Node; 2],
    how: String,
) -> Outcome {
    let mut outcome = Outcome { act, how, is_answered: false, tries: 1 };
    let (act, how) = (&outcome.act, &outcome.how);
    let (answer, more) = match (first, then) {
        (Some(answer), _) if answer.status != 503 => {
            assert!(act.kind.is_done(&answer), "{how}: {} {}", answer.status, answer.text);
            (answer, 0)
        }
        (_, Then::GivesUp) => return outcome,
        (_, Then::RepeatsThere) => repeat(act, there, how).await,
        (_, Then::RepeatsElsewhere) => repeat(act, elsewhere, how).await,
    };
    outcome.is_answered = outcome.act.kind.is_done(&answer);
    outcome.tries += more;
    outcome
}

async fn cut_at_each(stage: &Stage, kind: Kind) {
    let (app, there) = (&stage.app, &stage.cut_off);
    let (mut outcomes, mut refusals) = (Vec::new(), JoinSet::new());
    let mut round = 0;
    // The first without a cut: the store knows the scripts then.
    for nth in 0..MOST {
        let mut is_met = nth == 0;
        for (fate, lasts) in WAYS.into_iter().take(if nth == 0 { 1 } else { WAYS.len() }) {
            round += 1;
            let act = kind.prepare(app, &format!("{kind:?}-{round}").to_lowercase()).await;
            let then = Then::of(round + nth);
            let how = format!("{kind:?} cut at {nth}, {fate:?}, {lasts:?}; {then:?}");
            stage.cutter.arm(nth, fate, lasts);
            if nth == 0 {
                stage.cutter.disarm();
            }
            let first = act.call.send(there).await;
            let is_hit = stage.cutter.disarm();
            let how = format!("{how}; {}", first.status);
            assert!(is_hit || act.kind.is_done(&first), "{how}: {}", first.text);
            is_met |= is_hit;
            let outcome = follow_up(act, Some(first), then, [there, &app.node], how).await;
            if outcome.is_answered {
                let nodes = vec![app.node.clone(), there.clone()];
                refusals.spawn(are_refused_soon(nodes, outcome.act.victims.clone(), outcome.how.clone()));
            }
            outcomes.push(outcome);
        }
        if !is_met {
            return settle(stage, outcomes, refusals).await;
        }
    }
    panic!("{kind:?} never ends");
}

async fn settle(stage: &Stage, outcomes: Vec<Outcome>, mut refusals: JoinSet<()>) {
    while let Some(refused) = refusals.join_next().await {
        refused.unwrap();
    }
    until_closed(|| stage.journal()).await;
    let (stored, later) = (Stored::of(&[&stage.redis], &outcomes), stage.later().await);
    look_at_all(&stage.app, &[&stage.app.node, &stage.cut_off, &later], Some(&stored), &outcomes).await;
    stage.bystander.check().await.ok();
}

/// Which of them have been carried out.
pub(super) async fn look_at_all(
    app: &TestApp,
    nodes: &[&Node],
    stored: Option<&Stored>,
    outcomes: &[Outcome],
) -> Vec<bool> {
    // There is nothing to wait for: what was closed just now the nodes have heard of in a second.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let mut done = Vec::new();
    for outcome in outcomes {
        done.push(at_rest(app, nodes, stored, outcome).await);
    }
    done
}

async fn cut_all(kinds: &[Kind]) {
    let stage = Stage::set().await;
    for kind in kinds {
        cut_at_each(&stage, *kind).await;
    }
    stage.bystander.clone().refresh().await.ok();
}

#[tokio::test]
async fn some_ends_hold_wherever_their_node_is_cut_off() {
    cut_all(&ENDS[..6]).await;
}

#[tokio::test]
async fn other_ends_hold_wherever_their_node_is_cut_off() {
    cut_all(&ENDS[6..]).await;
}

#[tokio::test]
async fn some_changes_are_whole_wherever_their_node_is_cut_off() {
    cut_all(&CHANGES[..8]).await;
}

#[tokio::test]
async fn other_changes_are_whole_wherever_their_node_is_cut_off() {
    cut_all(&CHANGES[8..]).await;
}
