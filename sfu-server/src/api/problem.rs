//! Errors of HTTP requests, as `application/problem+json` (RFC 9457).

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use serde::Serialize;

use super::request_id::RequestId;
use crate::session::{ErrorCode, SessionError};

/// A refused request. Its response has no body until [`complete`] knows whose answer it is.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Problem {
    status: StatusCode,
    code: ErrorCode,
    detail: String,
    retry_after: Option<Duration>,
}

/// Clients told to try again are told to wait this long, unless it is known better.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Problem {
    pub(crate) fn new(status: StatusCode, code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), retry_after: None }
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::Malformed, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, detail)
    }

    pub(crate) fn rate_limited(retry_after: Duration) -> Self {
        let detail = "too many requests from this address";
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::RateLimited, detail);
        Self { retry_after: Some(retry_after), ..problem }
    }
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        let status = status_of(error.code);
        let passes = matches!(error.code, ErrorCode::NoPublisher | ErrorCode::RateLimited)
            || status == StatusCode::SERVICE_UNAVAILABLE;
        let retry_after = Some(RETRY_AFTER).filter(|_| passes);
        Self { status, code: error.code, detail: error.detail, retry_after }
    }
}

/// The status each code has at the HTTP doors.
fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Malformed
        | ErrorCode::UnknownType
        | ErrorCode::InvalidName
        | ErrorCode::SdpMalformed => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorCode::NotYours | ErrorCode::OriginRefused | ErrorCode::Forbidden => {
            StatusCode::FORBIDDEN
        }
        ErrorCode::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        ErrorCode::NotJoined
        | ErrorCode::NoSuchRoom
        | ErrorCode::NoSuchTrack
        | ErrorCode::NoSuchParticipant
        | ErrorCode::NoSuchSession
        | ErrorCode::NoSuchLayer
        | ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        ErrorCode::AlreadyJoined
        | ErrorCode::RoomFull
        | ErrorCode::RoomLocked
        | ErrorCode::NoDirect
        | ErrorCode::NoKeys
        | ErrorCode::NoPublisher => StatusCode::CONFLICT,
        ErrorCode::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ErrorCode::SdpTooLarge | ErrorCode::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::SdpUnsupported | ErrorCode::Limit => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::Draining | ErrorCode::Overloaded | ErrorCode::ServerFull => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs_f64().ceil().max(1.0);
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §11.6.1, RFC 6750 §3: without saying what is wrong.
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"sfu\""));
        }
        let content_type = (header::CONTENT_TYPE, "application/problem+json");
        let mut response = response.insert_header(content_type).finish();
        response.extensions_mut().insert(self.clone());
        response
    }
}

impl Problem {
    /// What the client of `request` reads.
    fn body(&self, request: &HttpRequest) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            r#type: String,
            title: &'static str,
            status: u16,
            code: &'static str,
            detail: &'a str,
            instance: &'a str,
            request_id: &'a str,
        }
        let id = RequestId::of(request);
        let body = Body {
            r#type: format!("urn:sfu:problem:{}", self.code.name()),
            title: self.code.title(),
            status: self.status.as_u16(),
            code: self.code.name(),
            detail: &self.detail,
            instance: request.uri().path(),
            request_id: id.as_str(),
        };
        serde_json::to_string(&body).expect("a problem holds only strings and numbers")
    }

    /// For an error that the framework made.
    fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::METHOD_NOT_ALLOWED => {
                (ErrorCode::MethodNotAllowed, "this path has other methods: see the Allow header")
            }
            StatusCode::NOT_FOUND => (ErrorCode::NotFound, "there is nothing at this path"),
            StatusCode::PAYLOAD_TOO_LARGE => (ErrorCode::BodyTooLarge, "the body is too large"),
            _ if status.is_server_error() => (ErrorCode::Internal, "internal error"),
            _ => (ErrorCode::Malformed, "the request cannot be read"),
        };
        Self::new(status, code, detail)
    }
}

/// Gives an error its body. One that the framework made (405 of a known path, a refused extractor)
/// becomes a problem and keeps the headers that tell more.
pub(super) fn complete<B: MessageBody + 'static>(
    response: ServiceResponse<B>,
) -> ServiceResponse<BoxBody> {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response.map_into_boxed_body();
    }
    let (request, response) = response.into_parts();
    let told = response.extensions().get::<Problem>().cloned();
    let (problem, response) = match told {
        Some(problem) => (problem, response.drop_body()),
        None => {
            let problem = Problem::of_status(status);
            let mut made = problem.error_response();
            for name in [header::ALLOW, header::SEC_WEBSOCKET_VERSION] {
                if let Some(value) = response.headers().get(&name) {
                    made.headers_mut().insert(name, value.clone());
                }
            }
            (problem, made.drop_body())
        }
    };
    let body = BoxBody::new(problem.body(&request));
    ServiceResponse::new(request, response.set_body(body))
}
