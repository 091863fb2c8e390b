//! Cross-origin headers. WHIP and WHEP: any page may publish or play, as any program may. The API:
//! pages of the origins that are allowed by name. The names of headers are spelled out because `*`
//! does not cover `Authorization` (Fetch §3.2.3).

use actix_web::body::BoxBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Data;
use actix_web::{HttpResponse, HttpResponseBuilder};

use super::{Context, access};

const EXPOSED: &str = "Location, ETag, Link, Accept-Post, Accept-Patch, Retry-After, X-Request-Id";
const REQUEST_HEADERS: &str = "Authorization, Content-Type, If-Match, X-Request-Id";

const API_EXPOSED: &str = "ETag, Retry-After, WWW-Authenticate, X-Request-Id";
const API_REQUEST_HEADERS: &str = "Accept, Authorization, Content-Type, If-Match, X-Request-Id";

/// The headers of any answer.
pub(super) fn expose(response: &mut HttpResponseBuilder) -> &mut HttpResponseBuilder {
    response
        .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .insert_header((header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED))
}

/// The headers of the answer to `OPTIONS`, preflight or not.
pub(super) fn preflight<'a>(
    response: &'a mut HttpResponseBuilder,
    methods: &'static str,
) -> &'a mut HttpResponseBuilder {
    expose(response)
        .insert_header((header::ALLOW, methods))
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, methods))
        .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, "600"))
}

/// Lets a page of an allowed origin read an answer of the API, and answers the question that its
/// browser asks before (a preflight, Fetch §4.8), which comes without a token. To every other page
/// nothing is said, so that its browser keeps the answer to itself.
pub(super) fn of_api(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let request = response.request();
    let headers = request.headers();
    let is_allowed = request
        .app_data::<Data<Context>>()
        .is_some_and(|context| access::is_origin_allowed(context, request));
    let Some(origin) = headers.get(header::ORIGIN).filter(|_| is_allowed).cloned() else {
        return response;
    };
    let is_preflight = request.method() == Method::OPTIONS
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match response.response().headers().get(header::ALLOW).cloned() {
        // What the route takes is what was said of a method that it does not.
        Some(methods) if is_preflight && response.status() == StatusCode::METHOD_NOT_ALLOWED => {
            let answer = HttpResponse::NoContent()
                .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, methods))
                .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, API_REQUEST_HEADERS))
                .insert_header((header::ACCESS_CONTROL_MAX_AGE, "600"))
                .finish();
            response.into_response(answer)
        }
        _ => response,
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(API_EXPOSED));
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    response
}
