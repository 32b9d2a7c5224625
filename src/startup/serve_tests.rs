//! Connections that break while a request is under way, with handlers that can wait for it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::rt::task::JoinHandle;
use actix_web::rt::time::{sleep, timeout};
use actix_web::{App, HttpResponse, web};
use socket2::SockRef;
use tokio::sync::Notify;

use super::*;
use crate::http::middleware::envelope::envelope;
use crate::startup::block_on;
use crate::telemetry::request::UnderWay;

/// How long a test waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the handlers and the test know of one another.
#[derive(Default)]
struct Seen {
    has_begun: Notify,
    may_end: Notify,
    has_lost_its_client: AtomicBool,
    has_ended: AtomicBool,
    was_dropped: AtomicBool,
}

/// Notes that a handler was dropped before its end.
struct Dropped(web::Data<Seen>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.was_dropped.store(true, Ordering::SeqCst);
    }
}

async fn until(what: impl Fn() -> bool) {
    let seen = timeout(PATIENCE, async {
        while !what() {
            sleep(Duration::from_millis(1)).await;
        }
    });
    seen.await.unwrap();
}

/// Writes, and goes on when its client has gone.
async fn writes(seen: web::Data<Seen>) -> HttpResponse {
    UnderWay::begins_to_write();
    seen.has_begun.notify_one();
    until(|| UnderWay::now().is_some_and(|request| request.told.client_is_gone())).await;
    seen.has_lost_its_client.store(true, Ordering::SeqCst);
    seen.may_end.notified().await;
    seen.has_ended.store(true, Ordering::SeqCst);
    HttpResponse::NoContent().finish()
}

async fn panics(seen: web::Data<Seen>) -> HttpResponse {
    writes(seen).await;
    panic!("as the test wants it")
}

async fn reads(seen: web::Data<Seen>) -> HttpResponse {
    let dropped = Dropped(seen);
    dropped.0.has_begun.notify_one();
    dropped.0.may_end.notified().await;
    HttpResponse::NoContent().finish()
}

struct Running {
    address: SocketAddr,
    handle: ServerHandle,
    server: JoinHandle<std::io::Result<()>>,
    seen: web::Data<Seen>,
}

/// A server with one worker.
fn start() -> Running {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let seen = web::Data::new(Seen::default());
    let listener = Listener { sockets: vec![socket], certificate: None, workers: 1 };
    let shared = seen.clone();
    let application = move || {
        App::new()
            .app_data(shared.clone())
            .wrap(from_fn(envelope))
            .route("/writes", web::post().to(writes))
            .route("/panics", web::post().to(panics))
            .route("/reads", web::get().to(reads))
            .route("/", web::get().to(HttpResponse::NoContent))
    };
    let server = listener.serve(&Arc::default(), application).unwrap();
    Running { address, handle: server.handle(), server: actix_web::rt::spawn(server), seen }
}

impl Running {
    fn send(&self, line: &str) -> StdStream {
        let mut stream = StdStream::connect(self.address).unwrap();
        write!(stream, "{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").unwrap();
        stream
    }

    /// Sends a request and resets the connection when the request has begun.
    async fn send_and_reset(&self, line: &str) {
        let stream = self.send(line);
        self.seen.has_begun.notified().await;
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

#[test]
fn a_server_that_stops_waits_for_a_request_that_has_lost_its_client() {
    block_on(async {
        let mut running = start();
        running.send_and_reset("POST /writes").await;
        until(|| running.seen.has_lost_its_client.load(Ordering::SeqCst)).await;
        actix_web::rt::spawn(running.handle.stop(true));
        assert!(timeout(Duration::from_millis(200), &mut running.server).await.is_err(), "it has stopped");
        assert!(!running.seen.has_ended.load(Ordering::SeqCst));
        running.seen.may_end.notify_one();
        timeout(DRAIN, &mut running.server).await.unwrap().unwrap().unwrap();
        assert!(running.seen.has_ended.load(Ordering::SeqCst));
    });
}

#[test]
fn a_request_that_panics_without_its_client_takes_nothing_with_it() {
    block_on(async {
        let running = start();
        running.send_and_reset("POST /panics").await;
        running.seen.may_end.notify_one();
        until(|| running.seen.has_ended.load(Ordering::SeqCst)).await;
        for _ in 0..3 {
            let mut stream = running.send("GET /");
            let head = web::block(move || {
                let mut head = [0; 12];
                stream.read_exact(&mut head).map(|()| head)
            });
            assert_eq!(&head.await.unwrap().unwrap(), b"HTTP/1.1 204");
        }
        running.handle.stop(true).await;
        running.server.await.unwrap().unwrap();
    });
}

#[test]
fn a_request_that_has_written_nothing_ends_with_its_client() {
    block_on(async {
        let running = start();
        running.send_and_reset("GET /reads").await;
        until(|| running.seen.was_dropped.load(Ordering::SeqCst)).await;
        running.handle.stop(true).await;
        running.server.await.unwrap().unwrap();
    });
}

#[test]
fn a_server_that_stops_at_once_waits_for_nothing() {
    block_on(async {
        let running = start();
        running.send_and_reset("POST /writes").await;
        until(|| running.seen.has_lost_its_client.load(Ordering::SeqCst)).await;
        running.handle.stop(false).await;
        running.server.await.unwrap().unwrap();
        assert!(!running.seen.has_ended.load(Ordering::SeqCst));
    });
}
