//! Cross-origin headers of WHIP and WHEP: any page may publish or play, as any program may. The
//! names are spelled out because `*` does not cover `Authorization` (Fetch §3.2.3).

use actix_web::HttpResponseBuilder;
use actix_web::http::header;

const EXPOSED: &str = "Location, ETag, Link, Accept-Post, Accept-Patch, Retry-After, X-Request-Id";
const REQUEST_HEADERS: &str = "Authorization, Content-Type, If-Match, X-Request-Id";

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
