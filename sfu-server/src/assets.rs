//! The page at `/`, compiled in. Whatever else is asked for that has no route is looked up here
//! and otherwise not found.

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use rust_embed::Embed;

use crate::api::Problem;
use crate::session::ErrorCode;

/// The files of the page, without what belongs to its development.
#[derive(Embed)]
#[folder = "../web-demo"]
#[include = "*.html"]
#[include = "*.js"]
#[include = "*.mjs"]
#[include = "*.css"]
#[include = "*.svg"]
#[include = "*.png"]
#[include = "*.ico"]
#[include = "*.webmanifest"]
#[include = "*.woff2"]
#[exclude = "e2e/*"]
#[exclude = "node_modules/*"]
#[exclude = "test/*"]
#[exclude = "tests/*"]
#[exclude = "*.test.js"]
#[exclude = "*.config.js"]
#[exclude = "*.config.mjs"]
struct Page;

/// The client library, which pages of other origins may import.
const LIBRARY: &str = "sdk/";

/// What the page may load and reach: itself and WebSockets, media of its own making.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; \
    media-src 'self' blob: mediastream:; img-src 'self' data: blob:; \
    object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// `GET` of a file of the page.
pub(crate) async fn serve(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let path = request.path().trim_start_matches('/');
    let path = match path {
        "" => "index.html",
        "test" => "test.html",
        file => file,
    };
    let Some(file) = Page::get(path) else {
        return Err(Problem::not_found("there is nothing at this path"));
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let (status, detail) = (StatusCode::METHOD_NOT_ALLOWED, "files can only be read");
        let problem = Problem::new(status, ErrorCode::MethodNotAllowed, detail);
        let mut response = problem.error_response();
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(response);
    }
    let hash = file.metadata.sha256_hash();
    let etag = format!("\"{}\"", hash[..16].iter().map(|b| format!("{b:02x}")).collect::<String>());
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    let is_known = known.is_some_and(|known| {
        known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag)
    });
    let mut response =
        HttpResponse::build(if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    response
        .insert_header((header::ETAG, etag))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"));
    if path.starts_with(LIBRARY) {
        response.insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"));
    }
    if is_known {
        return Ok(response.finish());
    }
    let mime = mime_guess::from_path(path).first_or_octet_stream();
    let mime = match (mime.type_(), mime.subtype()) {
        (mime_guess::mime::TEXT, _) => format!("{}; charset=utf-8", mime.essence_str()),
        _ => mime.essence_str().to_owned(),
    };
    Ok(response.insert_header((header::CONTENT_TYPE, mime)).body(file.data.into_owned()))
}
