//! The HTTP contract, over HTTP. Each test runs on both stores from one source.

/// One test for each store. The function gets a builder of the application on that store.
macro_rules! on_both_stores {
    ($($(#[$meta:meta])* async fn $name:ident($on:ident: On) $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn test($on: relatch_testkit::On) $body

            #[tokio::test]
            async fn on_the_embedded_store() {
                test(relatch_testkit::On::embedded()).await;
            }

            #[tokio::test]
            async fn on_redis() {
                test(relatch_testkit::On::redis()).await;
            }
        }
    )*};
}

mod access_tokens;
mod admin;
mod admin_user_sessions;
mod admin_users;
mod attributes;
mod audit;
mod authorization;
mod bad_input;
mod check;
mod client_cutoff;
mod client_reset;
mod clocks;
mod cookies;
mod cookies_mixed;
mod cookies_out;
mod cookies_too_large;
mod corrupt;
mod cors;
mod cross_site;
mod crowding;
mod custom_claims;
mod cutoff;
mod devices;
mod docs_page;
mod every_problem;
mod failover;
mod fair_hashing;
mod fitness;
mod forged_tokens;
mod guesses;
mod histories;
mod http;
mod key_lives;
mod keys;
mod last_administrator;
mod log_lines;
mod master_key;
mod me;
mod metrics;
mod newer_version;
mod nodes;
mod outage;
mod password;
mod password_rules;
mod races;
mod raw_http;
mod refresh;
mod refresh_refused;
mod register;
mod rehash;
mod reset;
mod restored;
mod revocations;
mod revoke_forms;
mod rollback;
mod round_trips;
mod secrets;
mod sessions;
mod shards;
mod sign_in;
mod sign_in_crowd;
mod sign_out;
mod sliding;
mod stats;
mod store_clock;
mod swapped;
mod timeline;
mod writing;
