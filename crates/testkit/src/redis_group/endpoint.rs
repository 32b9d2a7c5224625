//! A primary and its replica behind one address, as a managed service, a virtual IP or a Kubernetes service has it: when the
//! roles swap, new connections lead to the other process, and open ones stay where they are.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{has_replicas, until};
use crate::redis_server::RedisServer;

/// Two processes behind one address.
#[derive(Debug)]
pub struct PrimaryEndpoint {
    nodes: [RedisServer; 2],
    primary: usize,
    address: SocketAddr,
    target: watch::Sender<SocketAddr>,
}

impl PrimaryEndpoint {
    /// Starts both processes, and waits until the replica is in step.
    pub async fn start() -> Self {
        let primary = Self::node_with(&[]).await;
        let port = primary.address().port().to_string();
        let replica = Self::node_with(&["--replicaof", "127.0.0.1", &port]).await;
        let target = watch::Sender::new(primary.address());
        let address = forward(target.subscribe()).await;
        let endpoint = Self { nodes: [primary, replica], primary: 0, address, target };
        endpoint.until_in_step().await;
        endpoint
    }

    async fn node_with(args: &[&str]) -> RedisServer {
        let args = args.iter().map(|arg| (*arg).to_owned());
        RedisServer::builder()
            .append_only()
            .args(["--repl-diskless-sync-delay", "0"])
            .more(args)
            .start()
            .await
    }

    /// Where a server under test finds it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The process that is primary.
    pub fn primary(&self) -> &RedisServer {
        &self.nodes[self.primary]
    }

    /// The process that is its replica.
    pub fn replica(&self) -> &RedisServer {
        &self.nodes[1 - self.primary]
    }

    /// Swaps the roles, and has new connections lead to the new primary. Open ones stay. Gives the time at which both have
    /// their new roles.
    pub async fn swap(&mut self) -> Instant {
        let (before, after) = (self.primary().address(), self.replica().address());
        tokio::task::block_in_place(|| {
            assert_eq!(self.replica().say("REPLICAOF NO ONE"), "+OK");
            let follow = format!("REPLICAOF {} {}", after.ip(), after.port());
            assert_eq!(self.primary().say(&follow), "+OK");
        });
        self.target.send_replace(after);
        self.primary = 1 - self.primary;
        assert_eq!(self.replica().address(), before);
        self.until_in_step().await;
        Instant::now()
    }

    /// Has new connections lead to the replica, though it is one.
    pub fn point_at_the_replica(&self) {
        self.target.send_replace(self.replica().address());
    }

    /// Has new connections lead to the primary again.
    pub fn point_at_the_primary(&self) {
        self.target.send_replace(self.primary().address());
    }

    async fn until_in_step(&self) {
        until("the replica is in step", || {
            let info = self.primary().try_say("INFO replication");
            let link = self.replica().try_say("INFO replication");
            info.is_some_and(|info| has_replicas(&info, 1))
                && link.is_some_and(|info| info.contains("master_link_status:up"))
        })
        .await;
    }
}

/// Listens on a free port, and carries each new connection to where `target` then points, for as long as either side keeps it
/// open. Ends with the runtime.
async fn forward(target: watch::Receiver<SocketAddr>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("a bound port");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let to = *target.borrow();
            tokio::spawn(async move {
                let Ok(mut server) = TcpStream::connect(to).await else { return };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}
