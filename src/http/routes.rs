//! The whole surface on one screen.

use std::collections::HashSet;
use std::sync::LazyLock;

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};

use self::methods::{At, Routes, Table};
use super::{account, admin, error, ops, session, timeline, token};

/// Everything that the main listener serves.
pub fn main_listener(config: &mut ServiceConfig) {
    main_routes(config);
    config.default_service(web::to(error::not_found));
}

/// Every path of the main listener, with its methods (without HEAD, which goes with GET).
pub fn table() -> Vec<(&'static str, Vec<Method>)> {
    let mut table = Table::default();
    main_routes(&mut table);
    table.0
}

/// The pattern itself, if it is one of ours. What is counted by route has no other values.
pub fn known(pattern: &str) -> Option<&'static str> {
    static PATTERNS: LazyLock<HashSet<&'static str>> =
        LazyLock::new(|| table().into_iter().map(|(path, _)| path).chain(["/metrics"]).collect());
    PATTERNS.get(pattern).copied()
}

fn main_routes(config: &mut impl Routes) {
    config
        .service(at("/").get(ops::root::root))
        .service(at("/login").post(token::login::login))
        .service(at("/token/refresh").post(token::refresh::refresh))
        .service(at("/logout").post(token::logout::logout))
        .service(at("/auth/check").get(token::check::check))
        .service(at("/me").get(account::me::me))
        .service(at("/register").post(account::register::register))
        .service(at("/password").put(account::password::change))
        .service(at("/password/reset").post(account::reset::reset))
        .service(at("/sessions").get(session::list).delete(session::end_others))
        .service(at("/sessions/{id}").delete(session::end_one))
        .service(at("/sessions/{id}/timeline").get(timeline::of_session))
        .service(at("/admin/users").post(admin::users::create).get(admin::users::list))
        .service(
            at("/admin/users/{id}")
                .get(admin::users::get)
                .patch(admin::edit::edit)
                .delete(admin::users::delete),
        )
        .service(at("/admin/users/{id}/sessions").get(admin::sessions::list).delete(admin::sessions::end_all))
        .service(at("/admin/users/{id}/sessions/{sid}").delete(admin::sessions::end_one))
        .service(at("/admin/users/{id}/failures").get(admin::failures::show).delete(admin::failures::forget))
        .service(at("/admin/users/{id}/reset").post(admin::reset::issue))
        .service(at("/admin/users/{id}/timeline").get(timeline::of_user))
        .service(at("/admin/revoke").post(admin::revoke::revoke))
        .service(at("/admin/stats").get(admin::stats::show))
        .service(at("/admin/audit").get(admin::audit::list))
        .service(at("/admin/keys").get(admin::keys::list))
        .service(at("/admin/keys/rotate").post(admin::keys::rotate))
        .service(at("/.well-known/jwks.json").get(ops::jwks::jwks))
        .service(at("/errors/{code}").get(ops::errors::describe))
        .service(at("/openapi.json").get(ops::docs::document))
        .service(at("/docs").get(ops::docs::page))
        .service(at("/docs/{file:.*}").get(ops::docs::file));
    health(config);
}

/// What the operators' listener serves.
pub fn ops_listener(config: &mut ServiceConfig) {
    config
        .service(at("/health/live").get(ops::health::live))
        .service(at("/health/ready").get(ops::health::ready_with_findings))
        .service(at("/metrics").get(ops::metrics::metrics));
    config.default_service(web::to(error::not_found));
}

fn health(config: &mut impl Routes) {
    config
        .service(at("/health/live").get(ops::health::live))
        .service(at("/health/ready").get(ops::health::ready));
}

/// A path and its methods. `OPTIONS` is answered 204 with `Allow`, any other method 405 with it (RFC 9110, sections
/// 9.3.7, 15.5.6 and 10.2.1).
fn at(path: &'static str) -> At {
    At::new(path)
}

mod methods {
    use actix_web::dev::{AppService, HttpServiceFactory};
    use actix_web::http::{Method, header};
    use actix_web::web::ServiceConfig;
    use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, web};

    use crate::http::error::{ApiError, Code};

    /// What takes the routes: a listener, or the table of them.
    pub(super) trait Routes {
        fn service(&mut self, at: At) -> &mut Self;
    }

    impl Routes for ServiceConfig {
        fn service(&mut self, at: At) -> &mut Self {
            Self::service(self, at)
        }
    }

    #[derive(Default)]
    pub(super) struct Table(pub(super) Vec<(&'static str, Vec<Method>)>);

    impl Routes for Table {
        fn service(&mut self, at: At) -> &mut Self {
            let methods = at.allowed.into_iter().filter(|method| method != Method::HEAD).collect();
            self.0.push((at.path, methods));
            self
        }
    }

    pub(super) struct At {
        path: &'static str,
        resource: Resource,
        allowed: Vec<Method>,
    }

    impl At {
        pub(super) fn new(path: &'static str) -> Self {
            Self { path, resource: web::resource(path), allowed: Vec::new() }
        }

        pub(super) fn get<F, A>(self, handler: F) -> Self
        where
            F: Handler<A>,
            A: FromRequest + 'static,
            F::Output: Responder + 'static,
        {
            // A HEAD is a GET without the body (RFC 9110, section 9.3.2).
            let resource = self.resource.route(web::head().to(handler.clone()));
            let allowed = [self.allowed, vec![Method::HEAD]].concat();
            Self { resource, allowed, ..self }.on(Method::GET, handler)
        }

        pub(super) fn post<F, A>(self, handler: F) -> Self
        where
            F: Handler<A>,
            A: FromRequest + 'static,
            F::Output: Responder + 'static,
        {
            self.on(Method::POST, handler)
        }

        pub(super) fn put<F, A>(self, handler: F) -> Self
        where
            F: Handler<A>,
            A: FromRequest + 'static,
            F::Output: Responder + 'static,
        {
            self.on(Method::PUT, handler)
        }

        pub(super) fn patch<F, A>(self, handler: F) -> Self
        where
            F: Handler<A>,
            A: FromRequest + 'static,
            F::Output: Responder + 'static,
        {
            self.on(Method::PATCH, handler)
        }

        pub(super) fn delete<F, A>(self, handler: F) -> Self
        where
            F: Handler<A>,
            A: FromRequest + 'static,
            F::Output: Responder + 'static,
        {
            self.on(Method::DELETE, handler)
        }

        fn on<F, A>(mut self, method: Method, handler: F) -> Self
        where
            F: Handler<A>,
            A: FromRequest + 'static,
            F::Output: Responder + 'static,
        {
            self.allowed.push(method.clone());
            self.resource = self.resource.route(web::method(method).to(handler));
            self
        }
    }

    impl HttpServiceFactory for At {
        fn register(mut self, config: &mut AppService) {
            self.allowed.push(Method::OPTIONS);
            let allow = self.allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
            let refusal = ApiError::new(Code::MethodNotAllowed).header(header::ALLOW, &allow);
            let refuse = move || std::future::ready(refusal.clone());
            let options = move || {
                std::future::ready(
                    HttpResponse::NoContent().insert_header((header::ALLOW, allow.clone())).finish(),
                )
            };
            let resource = self.resource.route(web::method(Method::OPTIONS).to(options));
            resource.default_service(web::to(refuse)).register(config);
        }
    }
}
