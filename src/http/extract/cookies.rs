//! The cookies of ours that come with a request, and whether they count.

use actix_web::dev::Payload;
use actix_web::http::header::{COOKIE, HeaderName, ORIGIN};
use actix_web::{FromRequest, HttpRequest, web};

use crate::http::cookie::TokenCookie;
use crate::http::cross_site::{Origins, Passage};
use crate::http::error::{Answer, ApiError, Code};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Our cookies in one request.
pub struct Cookies {
    access: Carried,
    pair: Carried,
    refresh: Carried,
    device: Carried,
    passage: Passage,
}

/// What a request carries under one name.
enum Carried {
    Nothing,
    /// A value. One that cannot be a token is empty here, which no token is.
    One(String),
    /// More than one: somebody else may have set one of them.
    Several,
}

impl Cookies {
    /// The cookies of a request.
    pub fn of(request: &HttpRequest) -> Self {
        // Applications send none: then there is nothing to look for four times.
        let sends_some = request.headers().contains_key(COOKIE);
        let carried = |cookie| if sends_some { carried(request, cookie) } else { Carried::Nothing };
        Self {
            access: carried(TokenCookie::Access),
            pair: carried(TokenCookie::Pair),
            refresh: carried(TokenCookie::Refresh),
            device: carried(TokenCookie::Device),
            passage: passage(request),
        }
    }

    /// The token in a cookie, to be used as a credential.
    ///
    /// # Errors
    /// 403 if it came and another site may be behind the request, 400 if it came twice.
    pub fn credential(&self, cookie: TokenCookie) -> Answer<Option<&str>> {
        match (self.carried(cookie), self.passage) {
            (Carried::Nothing, _) | (_, Passage::NotABrowser) => Ok(None),
            (_, Passage::Barred) => Err(ApiError::new(Code::CrossSiteRequest)),
            (Carried::One(token), Passage::Free) => Ok(Some(token)),
            (Carried::Several, Passage::Free) => {
                Err(ApiError::invalid_request(format!("the cookie {} came more than once", cookie.name())))
            }
        }
    }

    /// The device token, if one came that counts. It is no credential: without it a sign-in goes on.
    pub fn device_token(&self) -> Option<&str> {
        match (&self.device, self.passage) {
            (Carried::One(token), Passage::Free) => Some(token),
            _ => None,
        }
    }

    /// Whether cookies may be set.
    ///
    /// # Errors
    /// 403 if another site may be behind the request.
    pub fn may_be_set(&self) -> Answer<()> {
        match self.passage {
            Passage::Free | Passage::NotABrowser => Ok(()),
            Passage::Barred => Err(ApiError::new(Code::CrossSiteRequest)),
        }
    }

    /// Which of these cookies came, to be cleared. None that does not count.
    ///
    /// # Errors
    /// As [`Self::credential`] of each.
    pub fn to_clear(&self, among: &[TokenCookie]) -> Answer<Vec<TokenCookie>> {
        let mut came = Vec::new();
        for cookie in among {
            if self.credential(*cookie)?.is_some() {
                came.push(*cookie);
            }
        }
        Ok(came)
    }

    const fn carried(&self, cookie: TokenCookie) -> &Carried {
        match cookie {
            TokenCookie::Access => &self.access,
            TokenCookie::Pair => &self.pair,
            TokenCookie::Refresh => &self.refresh,
            TokenCookie::Device => &self.device,
        }
    }
}

/// Finds a cookie (RFC 6265, section 4.2.1). Read by hand and byte by byte: what other applications on the host have put
/// into theirs must not disturb us.
fn carried(request: &HttpRequest, cookie: TokenCookie) -> Carried {
    let pairs = request.headers().get_all(COOKIE).flat_map(|header| header.as_bytes().split(|b| *b == b';'));
    let mut values = pairs.filter_map(|pair| value_of(pair.trim_ascii(), cookie.name()));
    match (values.next(), values.next()) {
        (None, _) => Carried::Nothing,
        (Some(value), None) => Carried::One(token(value, cookie)),
        (Some(_), Some(_)) => Carried::Several,
    }
}

fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    match pair.strip_prefix(name.as_bytes())? {
        [] => Some(b""),
        rest => rest.strip_prefix(b"="),
    }
}

fn token(value: &[u8], cookie: TokenCookie) -> String {
    let fits = value.len() <= cookie.max_value() && value.is_ascii();
    std::str::from_utf8(value).ok().filter(|_| fits).unwrap_or_default().to_owned()
}

/// Where a request comes from. What only reads is let through: what it may show to whom is up to CORS.
fn passage(request: &HttpRequest) -> Passage {
    if request.method().is_safe() {
        return Passage::Free;
    }
    let headers = request.headers();
    let field = |name: &HeaderName| {
        let mut values = headers.get_all(name);
        let value = values.next()?;
        Some(if values.next().is_none() { value.as_bytes() } else { b"" })
    };
    let judge = |origins: &Origins| origins.judge(field(&SEC_FETCH_SITE), field(&ORIGIN));
    request.app_data::<web::Data<Origins>>().map_or(Passage::Barred, |origins| judge(origins))
}

impl FromRequest for Cookies {
    type Error = ApiError;
    type Future = std::future::Ready<Answer<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(Ok(Self::of(request)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    /// The access token in these `Cookie` headers.
    fn access(headers: &[&[u8]]) -> Result<Option<String>, String> {
        let mut request = TestRequest::get();
        for header in headers {
            request = request.append_header(("Cookie", header.to_vec()));
        }
        let cookies = Cookies::of(&request.to_http_request());
        let found = cookies.credential(TokenCookie::Access).map(|found| found.map(str::to_owned));
        found.map_err(|error| error.to_string())
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        for header in [
            &b"__Host-relatch-at=a.b.c"[..],
            b"x=1; __Host-relatch-at=a.b.c; y=2",
            b"x=1;__Host-relatch-at=a.b.c;",
            b";;; =; x; __Host-relatch-at=a.b.c",
            b"x=\"; __Host-relatch-at=a.b.c",
            b"x=\xff\xfe; __Host-relatch-at=a.b.c",
        ] {
            let shown = String::from_utf8_lossy(header);
            assert_eq!(access(&[header]), Ok(Some("a.b.c".to_owned())), "{shown}");
            assert_eq!(access(&[b"z=3", header]), Ok(Some("a.b.c".to_owned())), "{shown}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_none() {
        for header in [
            &b""[..],
            b"__Host-relatch-ax=a",
            b"__Host-relatch-att=a",
            b"__host-relatch-at=a",
            b"relatch-at=a",
            b"x=__Host-relatch-at=a",
        ] {
            assert_eq!(access(&[header]), Ok(None), "{}", String::from_utf8_lossy(header));
        }
    }

    #[test]
    fn two_of_one_name_are_refused_however_they_come() {
        let (one, two) = (&b"__Host-relatch-at=a"[..], &b"__Host-relatch-at=a; x=1; __Host-relatch-at=b"[..]);
        for headers in [vec![two], vec![one, one], vec![one, b"__Host-relatch-at="], vec![one, two]] {
            assert_eq!(access(&headers), Err("invalid_request".to_owned()));
        }
    }

    #[test]
    fn what_cannot_be_a_token_is_a_bad_one() {
        let long = [b"__Host-relatch-at=".as_slice(), &[b'x'; 4096]].concat();
        for header in [&b"__Host-relatch-at"[..], b"__Host-relatch-at=", b"__Host-relatch-at=\xff", &long] {
            assert_eq!(access(&[header]), Ok(Some(String::new())));
        }
    }
}
