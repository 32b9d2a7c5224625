//! The envelope of every answer: the request's id, the headers that all answers have, problems rendered, and one log
//! line.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use actix_web::http::{ConnectionType, Method};
use actix_web::middleware::Next;
use actix_web::{HttpResponse, web};
use relatch_domain::Generation;
use relatch_domain::rotation::Verdict;
use tracing::field::display;
use uuid::Uuid;

use super::to_its_end::ToItsEnd;
use super::unread::Kept;
use super::{cors, crowding, limits, recorded};
use crate::ambient::Random;
use crate::app::App;
use crate::http::error::ApiError;
use crate::http::exchange::Exchange;
use crate::http::routes::known;
use crate::telemetry::request::{Rotation, Told, UnderWay};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Wraps a request and its answer: all that happens around every handler. It is one middleware, which calls the others of
/// this folder in their turn: each by itself would box the request's future once more. Whatever fails inside is already an
/// answer.
pub fn envelope(mut request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> ToItsEnd {
    let started = Instant::now();
    let body = Kept::of(&mut request);
    let exchanging = request.conn_data::<Rc<Exchange>>().map(Exchange::begin);
    // Without randomness nothing is issued anyway; the request still deserves its answer.
    let under_way = UnderWay { id: Random.uuid().unwrap_or_default(), told: Told::default() };
    let (id, told) = (under_way.id, under_way.told.clone());
    let mut line = Line { told: told.clone(), is_written: false };
    let answering = async move {
        let response = match crowding::refusal(&request).or_else(|| limits::refusal(&request)) {
            Some(refusal) => refused(request, refusal),
            None => next.call(request).await?.map_into_boxed_body(),
        };
        recorded::record(&response).await;
        let mut id_text = Uuid::encode_buffer();
        let id_text = id.hyphenated().encode_lower(&mut id_text);
        let mut response = envelop(render(response, id_text), id_text);
        line.write(&response, started);
        cors::answer(&mut response);
        drop(exchanging);
        Ok(body.with(response))
    };
    ToItsEnd::new(told, under_way.during(answering))
}

fn refused(request: ServiceRequest, refusal: ApiError) -> ServiceResponse<BoxBody> {
    let closes = crowding::is_one_too_many(&request);
    let mut refused = request.error_response(refusal);
    if closes {
        refused.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    refused
}

/// Adds the headers that every answer has.
fn envelop(mut response: ServiceResponse<BoxBody>, id: &str) -> ServiceResponse<BoxBody> {
    let app = response.request().app_data::<web::Data<App>>();
    if app.is_some_and(|app| app.node.leaving.load(Ordering::Relaxed)) {
        // Its next request would meet a closed door.
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Replaces the answer by the problem that it carries, if it carries one.
fn render(response: ServiceResponse<BoxBody>, id: &str) -> ServiceResponse<BoxBody> {
    let problem = response.response().extensions().get::<ApiError>().cloned();
    match problem {
        Some(problem) => {
            let mut rendered: HttpResponse = problem.render(id);
            if response.response().head().connection_type() == ConnectionType::Close {
                rendered.head_mut().set_connection_type(ConnectionType::Close);
            }
            let (request, _) = response.into_parts();
            ServiceResponse::new(request, rendered)
        }
        None => response,
    }
}

/// The one line for the request.
struct Line {
    told: Told,
    is_written: bool,
}

impl Line {
    /// Writes it, and notes the request in the metrics. The path is the route's pattern and the method one of a list: what a client
    /// wrote there may be a secret, or long.
    fn write(&mut self, response: &ServiceResponse<BoxBody>, started: Instant) {
        let request = response.request();
        // Most paths are their own pattern, which need not be looked for.
        let pattern = || request.match_pattern().as_deref().and_then(known);
        let route = known(request.path()).or_else(pattern).unwrap_or("unknown");
        let method = name_of(request.method());
        let status = response.status().as_u16();
        let took = started.elapsed();
        if let Some(app) = request.app_data::<web::Data<App>>() {
            app.node.metrics.answered(method, route, status, took);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let client_gone = self.told.client_is_gone().then_some(true);
        self.is_written = true;
        match self.told.rotation() {
            None => {
                let actor = self.told.actor().map(display);
                tracing::info!(
                    event = "request",
                    method,
                    route,
                    status,
                    micros,
                    client_gone,
                    actor,
                    "answered"
                );
            }
            Some(Rotation { session, generation: Generation(generation), address }) => {
                let (verdict, address) = (Verdict::Rotate.name(), address.map(display));
                tracing::info!(
                    event = "request",
                    method,
                    route,
                    status,
                    micros,
                    client_gone,
                    %session,
                    generation,
                    verdict,
                    address,
                    "answered"
                );
            }
        }
    }
}

impl Drop for Line {
    /// A server that stops at once leaves what is under way without a line. What was done is told all the same.
    fn drop(&mut self) {
        if !self.is_written
            && let Some(Rotation { session, generation: Generation(generation), address }) =
                self.told.rotation()
        {
            let (verdict, address) = (Verdict::Rotate.name(), address.map(display));
            tracing::info!(event = "refresh", %session, generation, verdict, address, "refreshed");
        }
    }
}

/// The method's name, if it is one that clients have reason to send.
pub fn name_of(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}
