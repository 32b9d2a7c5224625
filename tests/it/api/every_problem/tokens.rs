//! What is wrong with tokens, and with the sessions that they are of: 401.

use relatch::http::error::Code;
use relatch_testkit::{Answer, KEY, OTHER_KEY, On, PASSWORD};
use serde_json::json;

use super::signed_in;

pub(super) async fn bring_about(code: Code, on: On) -> Option<Answer> {
    Some(match code {
        Code::AuthenticationRequired => {
            let app = on.start().await;
            app.node.send(app.node.get("/auth/check")).await
        }
        Code::InvalidResetToken => {
            let body = json!({"reset_token": "rlp1_", "new_password": PASSWORD});
            on.start().await.post_json("/password/reset", &body).await
        }
        Code::InvalidCredentials => on.start().await.login("admin", "not the password").await,
        Code::InsufficientUserAuthentication => {
            let (app, ada) = signed_in(on.with_clock().set("password.reauthentication_age", "1m")).await;
            app.clock().advance_secs(60);
            let body = json!({"current_password": PASSWORD, "new_password": "a long walk on the pier"});
            ada.put("/password", &body).await
        }
        Code::InvalidToken => {
            let app = on.start().await;
            app.node.send(app.node.get("/auth/check").bearer_auth("made.up.token")).await
        }
        Code::TokenExpired => {
            let (app, ada) = signed_in(on.with_clock()).await;
            app.clock().advance_secs(16 * 60);
            ada.check().await
        }
        Code::InvalidRefreshToken => {
            let (_app, mut ada) = signed_in(on).await;
            ada.pair.refresh = "rlt1_madeup".to_owned();
            ada.refresh().await
        }
        Code::RefreshTokenReused => {
            let (_app, ada) = signed_in(on.set("refresh_token.grace", "0s")).await;
            ada.send_refresh(Some(KEY)).await.ok();
            ada.send_refresh(Some(OTHER_KEY)).await
        }
        Code::SessionRevoked => {
            let (_app, mut ada) = signed_in(on).await;
            ada.sign_out().await.expect(204);
            ada.refresh().await
        }
        Code::SessionExpired => {
            let (app, mut ada) = signed_in(on.with_clock()).await;
            app.clock().advance_secs(15 * 24 * 3600);
            ada.refresh().await
        }
        Code::UserDisabled => {
            let (app, mut ada) = signed_in(on).await;
            let path = format!("/admin/users/{}", ada.user_id);
            app.admin().await.patch(&path, &json!({"disabled": true})).await.ok();
            ada.refresh().await
        }
        _ => return None,
    })
}
