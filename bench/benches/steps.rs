//! What the pure steps of a refresh cost: the judgement, the refresh token's codec, minting and verifying an access token.
//! `cargo bench -p relatch-bench`.

#![expect(clippy::expect_used, reason = "a benchmark that cannot begin says why")]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use relatch::ambient::Random;
use relatch::keys::lifetimes::Lifetimes;
use relatch::keys::mint::{AccessTokenIssuer, NewAccessToken};
use relatch::keys::ring::{KeyRing, KeyState, RingKey};
use relatch::keys::signing::{Algorithm, SigningKey};
use relatch_domain::attempt::AttemptKey;
use relatch_domain::attributes::Attributes;
use relatch_domain::ids::{ClientNumber, MacKeyId, OriginTag};
use relatch_domain::mac::{MacKey, MacRing};
use relatch_domain::policy::RotationPolicy;
use relatch_domain::record;
use relatch_domain::refresh_token::RefreshToken;
use relatch_domain::rotation::{Presented, Verdict, judge};
use relatch_domain::session::{Authentication, Delivery, Seen, SessionRecord, Standing};
use relatch_domain::user::{Profile, Role, Roles};
use relatch_domain::{Generation, Nonce, SessionId, SessionRef, UnixMillis, UnixSeconds, UserId};
use relatch_verify::{SignatureMemory, verify, verify_with};

const NOW: UnixMillis = UnixMillis(1_700_000_900_000);
const MAC_KEY: MacKeyId = MacKeyId(7);

fn session() -> SessionRef {
    SessionRef { user: UserId::from_bytes([0x11; 16]), session: SessionId::from_bytes([0x22; 16]) }
}

/// A session that has rotated three times, the last time a quarter of an hour ago.
fn session_record() -> SessionRecord {
    let key = AttemptKey::parse("3q2-7wABnGkQ9VxkYH0mFA").expect("an attempt key");
    SessionRecord {
        generation: Generation(3),
        nonce: Nonce([3; 8]),
        previous_nonce: Nonce([2; 8]),
        mac_key: MAC_KEY,
        attempt: Some(key.hash(session())),
        rotated_at: UnixMillis(1_700_000_000_000),
        idle_ahead: 0,
        signed_in_at: UnixSeconds(1_699_990_000),
        idle_deadline: UnixSeconds(1_701_000_000),
        absolute_deadline: UnixSeconds(1_707_000_000),
        ended: None,
        delivery: Delivery::Body,
        authentication: Authentication::Password,
        dpop_bound: false,
        client: ClientNumber::FIRST_PARTY,
        debt: relatch_domain::budget::Debt::default(),
        origin: OriginTag(5),
    }
}

fn macs() -> MacRing {
    MacRing::new(MacKey::new(MAC_KEY, &[9; 32]), vec![]).expect("one key")
}

fn rules(c: &mut Criterion) {
    let record = session_record();
    let seen = Seen { session: Some(record), thumbprint: None, user: Standing::Enabled };
    let policy = RotationPolicy::default();
    let current = RefreshToken::current(session(), &record);
    let previous = RefreshToken { generation: Generation(2), nonce: Nonce([2; 8]), ..current };
    let strange = RefreshToken { nonce: Nonce([8; 8]), ..previous };
    for (name, token, attempt, verdict) in [
        ("rotate", current, None, Verdict::Rotate),
        ("retry", previous, record.attempt, Verdict::Retry),
        ("reuse", strange, None, Verdict::Reuse),
    ] {
        let presented = Presented::first_party(token, attempt, Delivery::Body);
        assert_eq!(judge(&seen, &presented, NOW, &policy), verdict);
        c.bench_function(&format!("judge/{name}"), |b| {
            b.iter(|| judge(black_box(&seen), black_box(&presented), NOW, &policy));
        });
    }
    let packed = record::encode(&record);
    c.bench_function("record/encode", |b| b.iter(|| record::encode(black_box(&record))));
    c.bench_function("record/decode", |b| b.iter(|| record::decode(black_box(&packed))));
}

fn refresh_tokens(c: &mut Criterion) {
    let (macs, token) = (macs(), RefreshToken::current(session(), &session_record()));
    let text = token.seal(MAC_KEY, &macs).expect("the key is there");
    assert_eq!(RefreshToken::open(&text, &macs), Ok(token));
    c.bench_function("refresh_token/seal", |b| b.iter(|| black_box(&token).seal(MAC_KEY, &macs)));
    c.bench_function("refresh_token/open", |b| b.iter(|| RefreshToken::open(black_box(&text), &macs)));
}

fn access_tokens(c: &mut Criterion) {
    let audience = vec!["https://api.example".to_owned()];
    let issuer = AccessTokenIssuer::new("https://id.example".to_owned(), audience, Duration::from_mins(15));
    let issuer = issuer.expect("an issuer");
    let roles: BTreeSet<Role> = ["user"].iter().map(|role| role.parse().expect("a role")).collect();
    let profile = Profile {
        username: "ada".parse().expect("a name"),
        roles: Roles::try_from(roles).expect("roles"),
        attributes: Attributes::default(),
    };
    for algorithm in Algorithm::ALL {
        let signing = Arc::new(SigningKey::generate(algorithm, Random).expect("a key"));
        let (created_at, active_since, retired_at) = (UnixMillis(1), None, None);
        let lifetimes = Lifetimes::default();
        let key =
            RingKey { signing, state: KeyState::Active, created_at, active_since, retired_at, lifetimes };
        let ring = KeyRing::new(1, vec![key], algorithm).expect("a ring");
        let new = NewAccessToken {
            session: session(),
            profile: &profile,
            auth_time: UnixSeconds(1_699_990_000),
            now: NOW,
            not_after: UnixSeconds(1_800_000_000),
            jti: [9; 16],
        };
        c.bench_function(&format!("mint/{algorithm}"), |b| {
            b.iter(|| issuer.mint(&ring, black_box(&new)));
        });
        let token = issuer.mint(&ring, &new).expect("a token").token;
        let (keys, expected) = (ring.verifying_keys(), issuer.expectations(NOW));
        assert!(verify(&token, keys, &expected).is_ok());
        c.bench_function(&format!("verify/{algorithm}"), |b| {
            b.iter(|| verify(black_box(&token), keys, &expected));
        });
        let memory = SignatureMemory::with_room_for(NonZeroUsize::MIN).expect("randomness");
        memory.learn(&token);
        c.bench_function(&format!("verify remembered/{algorithm}"), |b| {
            b.iter(|| verify_with(black_box(&token), keys, &expected, &memory));
        });
    }
}

criterion_group!(steps, rules, refresh_tokens, access_tokens);
criterion_main!(steps);
