//! Whether strangers may make accounts.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};

use crate::app::App;
use crate::http::error::{Answer, ApiError, Code};
use crate::http::openapi::Refuses;

/// That the operator lets strangers make accounts.
pub struct OpenRegistration;

impl FromRequest for OpenRegistration {
    type Error = ApiError;
    type Future = std::future::Ready<Answer<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let open = request.app_data::<web::Data<App>>().is_some_and(|app| app.policy.registration);
        std::future::ready(if open { Ok(Self) } else { Err(ApiError::new(Code::RegistrationDisabled)) })
    }
}

impl Refuses for OpenRegistration {
    fn codes() -> Vec<Code> {
        vec![Code::RegistrationDisabled]
    }
}
