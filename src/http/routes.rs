//! The whole surface on one screen.

use actix_web::web::{self, ServiceConfig};

use super::{admin, error, ops, session, token};

/// Everything that the main listener serves.
pub fn main_listener(config: &mut ServiceConfig) {
    config
        .service(at("/").get(ops::root::root))
        .service(at("/login").post(token::login::login))
        .service(at("/token/refresh").post(token::refresh::refresh))
        .service(at("/logout").post(token::logout::logout))
        .service(at("/auth/check").get(token::check::check))
        .service(at("/sessions").get(session::list).delete(session::end_others))
        .service(at("/sessions/{id}").delete(session::end_one))
        .service(at("/admin/users").post(admin::users::create).get(admin::users::list))
        .service(
            at("/admin/users/{id}")
                .get(admin::users::get)
                .patch(admin::users::change)
                .delete(admin::users::delete),
        )
        .service(at("/admin/users/{id}/sessions").get(admin::sessions::list).delete(admin::sessions::end_all))
        .service(at("/admin/users/{id}/sessions/{sid}").delete(admin::sessions::end_one))
        .service(at("/admin/revoke").post(admin::revoke::revoke))
        .service(at("/admin/stats").get(admin::stats::show))
        .service(at("/admin/audit").get(admin::audit::list))
        .service(at("/admin/keys").get(admin::keys::list))
        .service(at("/admin/keys/rotate").post(admin::keys::rotate))
        .service(at("/.well-known/jwks.json").get(ops::jwks::jwks))
        .service(at("/errors/{code}").get(ops::errors::describe));
    health(config);
    config.default_service(web::to(error::not_found));
}

/// What the operators' listener serves.
pub fn ops_listener(config: &mut ServiceConfig) {
    health(config);
    config.default_service(web::to(error::not_found));
}

fn health(config: &mut ServiceConfig) {
    config
        .service(at("/health/live").get(ops::health::live))
        .service(at("/health/ready").get(ops::health::ready));
}

/// A path and its methods. Any other method is answered 405 with `Allow` (RFC 9110, sections 15.5.6 and 10.2.1).
fn at(path: &'static str) -> methods::At {
    methods::At::new(path)
}

mod methods {
    use actix_web::dev::{AppService, HttpServiceFactory};
    use actix_web::http::{Method, header};
    use actix_web::{FromRequest, Handler, Resource, Responder, web};

    use crate::http::error::{ApiError, Code};

    pub(super) struct At {
        resource: Resource,
        allowed: Vec<Method>,
    }

    impl At {
        pub(super) fn new(path: &'static str) -> Self {
            Self { resource: web::resource(path), allowed: Vec::new() }
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
            Self { resource, allowed }.on(Method::GET, handler)
        }

        pub(super) fn post<F, A>(self, handler: F) -> Self
        where
            F: Handler<A>,
            A: FromRequest + 'static,
            F::Output: Responder + 'static,
        {
            self.on(Method::POST, handler)
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
        fn register(self, config: &mut AppService) {
            let allow = self.allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
            let refusal = ApiError::new(Code::MethodNotAllowed).header(header::ALLOW, &allow);
            let refuse = move || std::future::ready(refusal.clone());
            self.resource.default_service(web::to(refuse)).register(config);
        }
    }
}
