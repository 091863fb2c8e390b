//! The page at `/`, compiled in. Whatever else is asked for that has no route is looked up here
//! and otherwise not found.

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};

use crate::api::Problem;
use crate::session::ErrorCode;

/// A file of the page as it is sent: see `build.rs`.
struct File {
    path: &'static str,
    /// The same for the same content.
    hash: &'static str,
    plain: &'static [u8],
    gzip: Option<&'static [u8]>,
}

/// By path.
static PAGE: &[File] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

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
    let Ok(at) = PAGE.binary_search_by(|file| file.path.cmp(path)) else {
        return Err(Problem::not_found("there is nothing at this path"));
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let (status, detail) = (StatusCode::METHOD_NOT_ALLOWED, "files can only be read");
        let problem = Problem::new(status, ErrorCode::MethodNotAllowed, detail);
        let mut response = problem.error_response();
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(response);
    }
    let file = &PAGE[at];
    let gzip = file.gzip.filter(|_| takes_gzip(&request));
    // Each encoding is a representation of its own (RFC 9110 §8.8.3.3).
    let etag = format!("\"{}{}\"", file.hash, if gzip.is_some() { "-gz" } else { "" });
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    let is_known = known.is_some_and(|known| {
        known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag)
    });
    let mut response =
        HttpResponse::build(if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    response
        .insert_header((header::ETAG, etag))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::VARY, "Accept-Encoding"))
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
    if gzip.is_some() {
        response.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    Ok(response.insert_header((header::CONTENT_TYPE, mime)).body(gzip.unwrap_or(file.plain)))
}

/// Whether the client names gzip (RFC 9110 §12.5.3), and not to refuse it.
fn takes_gzip(request: &HttpRequest) -> bool {
    let accepted = request.headers().get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok());
    accepted.unwrap_or_default().split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

#[cfg(test)]
#[path = "../build/style.rs"]
mod style;

#[cfg(test)]
mod tests {
    use super::PAGE;
    use super::style::minify;

    fn text(path: &str) -> &'static str {
        let file = PAGE.iter().find(|file| file.path == path).expect("it is served");
        std::str::from_utf8(file.plain).expect("it is text")
    }

    #[test]
    fn the_library_exports_what_it_says_and_stands_alone() {
        let bundle = text("sdk/index.js");
        for name in ["Room", "LocalTrack", "RemoteTrack", "SfuError", "fromDevices"] {
            let exported = bundle.split("export{").nth(1).expect("it exports by name");
            assert!(
                exported.contains(&format!("{name},")) || exported.contains(&format!("{name}}}"))
            );
        }
        assert!(!bundle.contains("import{") && !bundle.contains("import\""), "one file");
        assert!(!bundle.contains("/**") && bundle.lines().count() < 3, "it is minified");
        assert!(text("sdk/whip.js").contains("whepPlay"));
    }

    #[test]
    fn the_library_is_there_as_it_is_written() {
        let written = include_str!("../../web-demo/sdk/room.js");
        assert_eq!(text("sdk/room.js"), written);
        assert_eq!(text("sdk/source.js"), include_str!("../../web-demo/sdk/index.js"));
    }

    #[test]
    fn the_page_is_one_script_and_tests_load_another() {
        assert!(text("app/main.js").contains("import(\"/app/rig.js\")"));
        assert!(text("app/rig.js").contains("from\"/app/main.js\""));
        assert!(!PAGE.iter().any(|file| file.path == "app/call.js"));
        assert!(!text("index.html").contains("modulepreload"));
    }

    #[test]
    fn styles_keep_the_spaces_that_part() {
        let source =
            "/* a */\n.b > i:first-child,\n.c .d {\n  e: f g; /* h */\n  i: calc(1px + 2px);\n}\n";
        assert_eq!(minify(source), ".b>i:first-child,.c .d{e:f g;i:calc(1px + 2px)}");
        assert_eq!(minify("a :hover { b: c }"), "a :hover{b:c}");
    }
}
