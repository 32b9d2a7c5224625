//! Every administrative call leaves an audit record: who, what, whom, from where, when.

use actix_web::dev::ServiceResponse;
use actix_web::{HttpMessage as _, HttpRequest, web};
use relatch_domain::UserId;
use relatch_domain::event::{Actor, Event};

use super::envelope::name_of;
use crate::app::App;
use crate::http::extract::origin::origin_of;

/// Who makes an administrative call. Left in the request by [`crate::http::extract::Admin`], for those as well whom it
/// does not let in.
#[derive(Debug, Clone, Copy)]
pub struct AdminCaller(pub Actor);

/// Leaves a record of an administrative call, unless one tells of it already: that of what was done. A call that failed
/// gets its own in any case.
pub async fn record<B>(response: &ServiceResponse<B>) {
    let request = response.request();
    let caller = request.extensions().get::<AdminCaller>().copied();
    if let Some(AdminCaller(actor)) = caller
        && let Some(app) = request.app_data::<web::Data<App>>()
    {
        let origin = origin_of(request).by(actor);
        let status = response.status();
        if !(status.is_success() && origin.told.is_set()) {
            app.tell(&origin, &call(request, status.as_u16())).await;
        }
    }
}

fn call(request: &HttpRequest, status: u16) -> Event {
    let user = request.match_info().get("id").and_then(|id| id.parse::<UserId>().ok());
    let route = request.match_pattern().unwrap_or_else(|| "unknown".to_owned());
    Event::AdminCall { method: name_of(request.method()), route, user, status }
}
