//! What a request is called: in its answer (`X-Request-Id`), in the body of a problem and in the
//! log. A client, or a proxy in front, may choose the name, so that one search finds what both said.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{Error, HttpMessage as _, HttpRequest};
use tracing::Instrument as _;

pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longest name that is taken from a client: two UUIDs and more.
const BYTES_MAX: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestId(String);

impl RequestId {
    /// The client's, if it can stand in a log as it is, else one of our own.
    fn choose(given: Option<&HeaderValue>) -> Self {
        let given = given.and_then(|value| value.to_str().ok()).filter(|given| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte);
            (1..=BYTES_MAX).contains(&given.len()) && given.bytes().all(is_plain)
        });
        Self(given.map_or_else(|| format!("{:016x}", rand::random::<u64>()), str::to_owned))
    }

    /// That of a request that went through [`name`].
    pub(super) fn of(request: &HttpRequest) -> Self {
        request.extensions().get().cloned().unwrap_or_else(|| Self::choose(None))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Gives a request its name, has `finish` complete the answer, and logs how it went.
pub(super) fn name<S, B, F>(
    request: ServiceRequest,
    service: &S,
    finish: F,
) -> impl Future<Output = Result<ServiceResponse<BoxBody>, Error>> + use<S, B, F>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
    F: FnOnce(ServiceResponse<B>) -> ServiceResponse<BoxBody>,
{
    let id = RequestId::choose(request.headers().get(HEADER));
    // The session layer fills in who joined, and where.
    let none = tracing::field::Empty;
    let span = tracing::info_span!("request", id = id.as_str(), room = none, participant = none);
    request.extensions_mut().insert(id.clone());
    let answer = span.in_scope(|| service.call(request));
    let answer = async move {
        let mut response = finish(answer.await?);
        let value = HeaderValue::from_str(id.as_str()).expect("an id is letters and digits");
        response.headers_mut().insert(HEADER, value);
        log(&response);
        Ok(response)
    };
    answer.instrument(span)
}

/// The route and not the path: the last part of a session's path is its secret.
fn log(response: &ServiceResponse) {
    let request = response.request();
    let (method, status) = (request.method().as_str(), response.status().as_u16());
    let route = request.match_pattern().unwrap_or_default();
    if status == 500 {
        tracing::error!(method, route, status, "answered");
    } else {
        tracing::debug!(method, route, status, "answered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_chooses_a_name_that_can_be_logged_and_no_other() {
        let choose = |given: &[u8]| {
            RequestId::choose(Some(&HeaderValue::from_bytes(given).unwrap())).as_str().to_owned()
        };
        let longest = "x".repeat(BYTES_MAX);
        for good in ["a", "0b7e-4f_c.a:1/2+3=", &longest] {
            assert_eq!(choose(good.as_bytes()), good);
        }
        let too_long = "x".repeat(BYTES_MAX + 1);
        for bad in [&b""[..], b"a b", b"a\tb", b"{\"a\":1}", b"\xff", too_long.as_bytes()] {
            let own = choose(bad);
            assert!(own.len() == 16 && own.bytes().all(|b| b.is_ascii_hexdigit()), "{own}");
        }
        assert_ne!(choose(b""), choose(b""));
    }
}
