//! Request bodies: read with a bound and a deadline.

use actix_web::http::{StatusCode, header};
use actix_web::web::{Bytes, BytesMut, Payload};
use actix_web::{HttpRequest, http::header::HeaderMap};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use super::Problem;
use crate::limits;
use crate::session::ErrorCode;

/// Reads at most `bytes_max`.
async fn read(
    request: &HttpRequest,
    mut payload: Payload,
    bytes_max: usize,
) -> Result<Bytes, Problem> {
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    if declared.and_then(|v| v.parse::<u64>().ok()).is_some_and(|n| n > bytes_max as u64) {
        return Err(too_large(bytes_max));
    }
    let read = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|e| Problem::malformed(format!("unreadable body: {e}")))?;
            if body.len() + chunk.len() > bytes_max {
                return Err(too_large(bytes_max));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(limits::BODY_DEADLINE, read).await.unwrap_or_else(|_| {
        let detail = "the body did not arrive in time";
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::RequestTimeout, detail))
    })
}

/// Reads a JSON object. A field this server does not know is an error that names it.
pub(super) async fn json<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: Payload,
) -> Result<T, Problem> {
    check_type(request.headers(), "application/json")?;
    let body = read(request, payload, limits::BODY_BYTES_MAX).await?;
    // An array of values would do for any structure as well.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::malformed("the body must be a JSON object"));
    }
    serde_json::from_slice(&body).map_err(|e| Problem::malformed(e.to_string()))
}

/// Reads a JSON list; `None` if there is no body.
pub(super) async fn json_list<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: Payload,
) -> Result<Option<Vec<T>>, Problem> {
    let body = read(request, payload, limits::BODY_BYTES_MAX).await?;
    if body.is_empty() {
        return Ok(None);
    }
    check_type(request.headers(), "application/json")?;
    serde_json::from_slice(&body).map(Some).map_err(|e| Problem::malformed(e.to_string()))
}

/// Reads SDP or a fragment of it.
pub(super) async fn text(
    request: &HttpRequest,
    payload: Payload,
    media_type: &str,
) -> Result<String, Problem> {
    check_type(request.headers(), media_type)?;
    let body = read(request, payload, sfu_core::limits::SDP_BYTES_MAX).await?;
    let text = std::str::from_utf8(&body).map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, ErrorCode::SdpMalformed, "the SDP is not UTF-8")
    })?;
    Ok(text.to_owned())
}

/// Compares media types, not strings: case and parameters do not count.
pub(super) fn is_type(headers: &HeaderMap, wanted: &str) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.and_then(|given| given.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case(wanted))
}

fn check_type(headers: &HeaderMap, wanted: &str) -> Result<(), Problem> {
    if is_type(headers, wanted) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::UnsupportedMediaType,
        format!("the Content-Type must be {wanted}"),
    ))
}

fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("the body is over {} KiB", bytes_max / 1024);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::BodyTooLarge, detail)
}
