//! Many sign-ins of one user at once.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use relatch_testkit::{Device, Node, On, PASSWORD};
use serde_json::json;

/// Signs in so many times at once, on all nodes in turn. The devices that are signed in, and how often which status came.
async fn crowd(nodes: &[Node], count: usize) -> (Vec<Device>, BTreeMap<u16, usize>) {
    let body = json!({"username": "ada", "password": PASSWORD});
    let sign_ins = (0..count).map(async |number| {
        let node = &nodes[number % nodes.len()];
        (node, node.send(node.post("/login").json(&body)).await)
    });
    let (mut devices, mut statuses) = (Vec::new(), BTreeMap::new());
    for (node, answer) in join_all(sign_ins).await {
        *statuses.entry(answer.status).or_default() += 1;
        match answer.status {
            200 => devices.push(Device::signed_in(node, &answer.json())),
            // So many passwords are not hashed at once.
            _ => drop(answer.problem(503, "temporarily_unavailable")),
        }
    }
    (devices, statuses)
}

/// How many of the devices are still signed in, by themselves and by the list of devices.
async fn live(devices: &[Device]) -> (usize, usize) {
    let checks = join_all(devices.iter().map(|device| device.get("/auth/check?live=true"))).await;
    let (mut live, mut listed) = (0, 0);
    for (device, check) in devices.iter().zip(checks) {
        if check.status == 200 {
            live += 1;
            listed = device.get("/sessions?limit=200").await.ok()["items"].as_array().unwrap().len();
        } else {
            check.problem(401, "session_revoked");
        }
    }
    (live, listed)
}

on_both_stores! {
    async fn a_crowd_is_let_in_up_to_the_limit_and_replaces_those_before_it(on: On) {
        for limit in [50, 3] {
            let app = on.clone().set("sessions.max_per_user", &limit.to_string());
            let app = app.set("rate_limit.enabled", "false").start().await;
            app.user("ada").await;
            let (mut devices, mut seen) = (Vec::new(), Vec::new());
            // A crowd is more than can be hashed at once; those who are sent away come again.
            while devices.len() < 60 {
                let (more, statuses) = crowd(std::slice::from_ref(&app.node), 60 - devices.len()).await;
                assert!(!more.is_empty(), "{statuses:?}");
                devices.extend(more);
                seen.push(statuses);
            }
            assert_eq!(live(&devices).await, (limit, limit), "{seen:?}");
        }
    }
}

#[tokio::test]
async fn nodes_that_sign_a_user_in_at_once_do_not_exceed_the_limit_together() {
    let app = On::redis().set("sessions.max_per_user", "3").set("rate_limit.enabled", "false").start().await;
    let nodes = [app.node.clone(), app.second_node().await, app.second_node().await, app.second_node().await];
    app.user("ada").await;
    let admin = app.admin().await;
    for round in 0..20 {
        admin.post("/admin/revoke", &json!({"username": "ada"})).await.ok();
        // One below the limit: each of the next ones finds room for itself.
        let mut devices = vec![app.sign_in("ada").await, app.sign_in("ada").await];
        let (more, statuses) = crowd(&nodes, nodes.len()).await;
        assert_eq!(statuses, BTreeMap::from([(200, nodes.len())]), "nobody has to come again");
        devices.extend(more);
        assert_eq!(live(&devices).await, (3, 3), "round {round}");
    }
}

#[tokio::test]
async fn workers_of_one_account_that_start_together_all_get_in() {
    for limit in [50, 3] {
        let on = On::redis().set("sessions.max_per_user", &limit.to_string());
        let app = on.start().await;
        let nodes = [app.node.clone(), app.second_node().await];
        app.user("ada").await;
        for _ in 0..5 {
            let (devices, statuses) = crowd(&nodes, 32).await;
            assert_eq!(statuses, BTreeMap::from([(200, 32)]), "at most {limit}");
            assert_eq!(live(&devices).await.0, limit.min(32));
        }
    }
}
