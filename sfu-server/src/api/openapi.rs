//! The API described by itself: an OpenAPI 3.1 document made of the types that handlers read and
//! write, and a page that shows it. `docs/openapi.json` is the same document, committed.

use actix_web::http::header;
use actix_web::web;
use actix_web::{HttpResponse, Responder};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::page::Page;
use super::participants::{Mute, NewData, ParticipantBody, Participants, Subscriptions};
use super::rooms::{NewRoom, Rooms};
use super::server::{MintedToken, NewToken, Node};
use crate::media::Impairment;
use crate::session::{ParticipantChange, RoomView, SettingsChange};

/// One route and method.
struct Operation {
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    /// What a token has to allow; the administrator's key allows everything.
    grant: &'static str,
    query: Option<Of>,
    body: Option<Of>,
    /// What it answers if all is well.
    answers: &'static [(u16, Answer)],
    /// The problems it may answer with, beside those of every route.
    problems: &'static [u16],
    /// Whether it needs `If-Match`.
    conditional: bool,
}

/// Writes the schema of a type.
type Of = fn(&mut SchemaGenerator) -> Schema;

enum Answer {
    Nothing,
    Json(Of),
    /// With an `ETag`.
    Tagged(Of),
    /// JSON of no fixed schema, described in words.
    Free,
    Text,
}

/// Problems of every route: refused tokens, grants and origins, `Accept`, rates.
const ALWAYS: [u16; 4] = [401, 403, 406, 429];

const BASE: Operation = Operation {
    method: "get",
    path: "",
    id: "",
    summary: "",
    grant: "roomAdmin",
    query: None,
    body: None,
    answers: &[],
    problems: &[],
    conditional: false,
};

const ROOMS: &str = "/api/v1/rooms";
const ROOM: &str = "/api/v1/rooms/{room}";
const PARTICIPANTS: &str = "/api/v1/rooms/{room}/participants";
const PARTICIPANT: &str = "/api/v1/rooms/{room}/participants/{participant}";

const IMPAIRMENT: &str = "/api/v1/rooms/{room}/participants/{participant}/impairment";

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const OPERATIONS: &[Operation] = &[
    Operation {
        path: ROOMS,
        id: "listRooms",
        summary: "Lists rooms",
        grant: "roomList",
        query: Some(of::<Page>),
        answers: &[(200, Answer::Json(of::<Rooms>))],
        problems: &[400],
        ..BASE
    },
    Operation {
        method: "post",
        path: ROOMS,
        id: "createRoom",
        summary: "Makes a room; one that is there already is answered with 200 and left as it is",
        grant: "roomCreate",
        body: Some(of::<NewRoom>),
        answers: &[(200, Answer::Tagged(of::<RoomView>)), (201, Answer::Tagged(of::<RoomView>))],
        problems: &[400, 408, 413, 415, 422, 503],
        ..BASE
    },
    Operation {
        path: ROOM,
        id: "getRoom",
        summary: "Shows a room; the entity tag is that of its settings",
        grant: "roomAdmin or roomList",
        answers: &[(200, Answer::Tagged(of::<RoomView>))],
        problems: &[404],
        ..BASE
    },
    Operation {
        method: "patch",
        path: ROOM,
        id: "changeRoom",
        summary: "Changes settings of a room (JSON Merge Patch)",
        body: Some(of::<SettingsChange>),
        answers: &[(200, Answer::Tagged(of::<RoomView>))],
        problems: &[400, 404, 408, 412, 413, 415, 422, 428, 503],
        conditional: true,
        ..BASE
    },
    Operation {
        method: "delete",
        path: ROOM,
        id: "deleteRoom",
        summary: "Sends everybody away and removes the room",
        grant: "roomAdmin or roomCreate",
        answers: &[(204, Answer::Nothing)],
        problems: &[404],
        ..BASE
    },
    Operation {
        path: PARTICIPANTS,
        id: "listParticipants",
        summary: "Lists who is in a room, viewers left out",
        query: Some(of::<Page>),
        answers: &[(200, Answer::Json(of::<Participants>))],
        problems: &[400, 404],
        ..BASE
    },
    Operation {
        path: PARTICIPANT,
        id: "getParticipant",
        summary: "Shows a participant with its connection's counters",
        answers: &[(200, Answer::Tagged(of::<ParticipantBody>))],
        problems: &[404],
        ..BASE
    },
    Operation {
        method: "patch",
        path: PARTICIPANT,
        id: "changeParticipant",
        summary: "Changes name, metadata or permissions; what is no longer permitted has ended \
                  when this is answered",
        body: Some(of::<ParticipantChange>),
        answers: &[(200, Answer::Tagged(of::<ParticipantBody>))],
        problems: &[400, 404, 408, 412, 413, 415, 422, 428, 503],
        conditional: true,
        ..BASE
    },
    Operation {
        method: "delete",
        path: PARTICIPANT,
        id: "kickParticipant",
        summary: "Removes a participant; its tokens from before are worth nothing",
        answers: &[(204, Answer::Nothing)],
        problems: &[404],
        ..BASE
    },
    Operation {
        method: "post",
        path: "/api/v1/rooms/{room}/participants/{participant}/mute",
        id: "muteTrack",
        summary: "Mutes or unmutes a track; everybody is told",
        body: Some(of::<Mute>),
        answers: &[(204, Answer::Nothing)],
        problems: &[400, 404, 408, 413, 415, 503],
        ..BASE
    },
    Operation {
        method: "put",
        path: "/api/v1/rooms/{room}/participants/{participant}/subscriptions",
        id: "setSubscriptions",
        summary: "Makes a participant receive these tracks and no others",
        body: Some(of::<Subscriptions>),
        answers: &[(204, Answer::Nothing)],
        problems: &[400, 404, 408, 413, 415, 422, 503],
        ..BASE
    },
    Operation {
        path: IMPAIRMENT,
        id: "getImpairment",
        summary: "How bad a participant's network was made, in development",
        answers: &[(200, Answer::Json(of::<Impairment>))],
        problems: &[404],
        ..BASE
    },
    Operation {
        method: "put",
        path: IMPAIRMENT,
        id: "setImpairment",
        summary: "Makes a participant's network bad, in development; replaces what was",
        body: Some(of::<Impairment>),
        answers: &[(204, Answer::Nothing)],
        problems: &[400, 404, 408, 413, 415, 422, 503],
        ..BASE
    },
    Operation {
        method: "delete",
        path: IMPAIRMENT,
        id: "liftImpairment",
        summary: "Makes a participant's network good again",
        answers: &[(204, Answer::Nothing)],
        problems: &[404, 503],
        ..BASE
    },
    Operation {
        path: "/api/v1/rooms/{room}/participants/{participant}/decisions",
        id: "getDecisions",
        summary: "Why a participant receives what it receives",
        grant: "roomAdmin, or to join as that participant",
        answers: &[(200, Answer::Free)],
        problems: &[404, 503],
        ..BASE
    },
    Operation {
        path: "/api/v1/rooms/{room}/participants/{participant}/decisions/records",
        id: "getRecords",
        summary: "The flight recorder, a JSON object a line",
        grant: "roomAdmin, or to join as that participant",
        answers: &[(200, Answer::Text)],
        problems: &[404, 503],
        ..BASE
    },
    Operation {
        method: "post",
        path: "/api/v1/rooms/{room}/data",
        id: "sendData",
        summary: "Sends a message to everybody in a room, or to some",
        body: Some(of::<NewData>),
        answers: &[(204, Answer::Nothing)],
        problems: &[400, 404, 408, 413, 415, 422, 503],
        ..BASE
    },
    Operation {
        path: "/api/v1/node",
        id: "getNode",
        summary: "What the server is and does",
        grant: "",
        answers: &[(200, Answer::Json(of::<Node>))],
        ..BASE
    },
    Operation {
        method: "post",
        path: "/api/v1/drain",
        id: "drain",
        summary: "Refuses joins from now on and tells everybody; who is in may stay",
        grant: "",
        answers: &[(200, Answer::Json(of::<Node>))],
        ..BASE
    },
    Operation {
        method: "delete",
        path: "/api/v1/drain",
        id: "undrain",
        summary: "Accepts joins again; 503 once the process was told to end",
        grant: "",
        answers: &[(200, Answer::Json(of::<Node>))],
        problems: &[503],
        ..BASE
    },
    Operation {
        method: "post",
        path: "/api/v1/tokens",
        id: "mintToken",
        summary: "Makes a token for a participant; 409 without a key that is good for the room",
        grant: "",
        body: Some(of::<NewToken>),
        answers: &[(201, Answer::Json(of::<MintedToken>))],
        problems: &[400, 408, 409, 413, 415, 422],
        ..BASE
    },
];

/// The document.
pub(super) fn document() -> Value {
    let settings = || {
        SchemaSettings::draft2020_12().with(|s| s.definitions_path = "/components/schemas".into())
    };
    // What is read may leave out more than what is written does.
    let mut read = settings().for_deserialize().into_generator();
    let mut written = settings().for_serialize().into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = operation.describe(&mut read, &mut written);
    }
    let mut schemas = read.take_definitions(true);
    schemas.extend(written.take_definitions(true));
    schemas.insert("Problem".to_owned(), problem());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "SFU",
            "version": "1",
            "summary": "Rooms and who is in them.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "bearer": [] }, {}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "The administrator's key, or a token that allows it. Not needed \
                                where no key is configured.",
            } },
        },
    })
}

impl Operation {
    fn describe(&self, read: &mut SchemaGenerator, written: &mut SchemaGenerator) -> Value {
        let mut responses = Map::new();
        for (status, answer) in self.answers {
            responses.insert(status.to_string(), answer.describe(written));
        }
        for status in self.problems.iter().chain(&ALWAYS) {
            let content = json!({ "application/problem+json": {
                "schema": { "$ref": "#/components/schemas/Problem" },
            } });
            let response = json!({ "description": reason(*status), "content": content });
            responses.insert(status.to_string(), response);
        }
        let grant = match self.grant {
            "" => "For the administrator's key.".to_owned(),
            grant => format!("A token needs {grant}."),
        };
        let mut described = json!({
            "operationId": self.id,
            "summary": self.summary,
            "description": grant,
            "responses": responses,
        });
        let parameters = self.parameters(read);
        if !parameters.is_empty() {
            described["parameters"] = parameters.into();
        }
        if let Some(body) = self.body {
            let content = json!({ "application/json": { "schema": body(read) } });
            described["requestBody"] = json!({ "required": true, "content": content });
        }
        described
    }

    fn parameters(&self, read: &mut SchemaGenerator) -> Vec<Value> {
        let mut parameters = Vec::new();
        for (name, schema) in [
            ("room", json!({ "type": "string", "minLength": 1, "maxLength": 256 })),
            ("participant", json!({ "type": "string", "pattern": "^[0-9a-f]{16}$" })),
        ] {
            if self.path.contains(&format!("{{{name}}}")) {
                let parameter = json!({
                    "name": name, "in": "path", "required": true, "schema": schema,
                });
                parameters.push(parameter);
            }
        }
        if self.query.is_some() {
            // The one query there is.
            let page = Page::json_schema(read).to_value();
            for (name, schema) in page["properties"].as_object().into_iter().flatten() {
                parameters.push(json!({ "name": name, "in": "query", "schema": schema }));
            }
        }
        if self.conditional {
            parameters.push(json!({
                "name": "If-Match", "in": "header", "required": true,
                "description": "The present entity tag, or *.",
                "schema": { "type": "string" },
            }));
        }
        parameters
    }
}

impl Answer {
    fn describe(&self, written: &mut SchemaGenerator) -> Value {
        let (description, media_type, schema) = match self {
            Self::Nothing => return json!({ "description": "Done." }),
            Self::Json(of) | Self::Tagged(of) => {
                ("The answer.", "application/json", of(written).to_value())
            }
            Self::Free => {
                ("See docs/http.md#decisions.", "application/json", json!({ "type": "object" }))
            }
            Self::Text => {
                ("See docs/http.md#decisions.", "application/x-ndjson", json!({ "type": "string" }))
            }
        };
        let content = json!({ media_type: { "schema": schema } });
        let mut response = json!({ "description": description, "content": content });
        if matches!(self, Self::Tagged(_)) {
            response["headers"] = json!({ "ETag": { "schema": { "type": "string" } } });
        }
        response
    }
}

/// RFC 9457.
fn problem() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "code", "detail", "instance", "request_id"],
        "properties": {
            "type": { "type": "string", "pattern": "^urn:sfu:problem:" },
            "title": { "type": "string" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "code": { "type": "string" },
            "detail": { "type": "string" },
            "instance": { "type": "string", "description": "The path that was asked for." },
            "request_id": { "type": "string", "description": "As X-Request-Id, and in the log." },
        },
    })
}

fn reason(status: u16) -> &'static str {
    match status {
        400 => "The request cannot be read.",
        401 => "No token, or none that counts.",
        403 => "The token does not allow it, or the page's origin is not allowed.",
        404 => "There is no such thing.",
        406 => "The client does not take JSON.",
        408 => "The body did not arrive in time.",
        409 => "It does not go with the present state.",
        412 => "If-Match names another state.",
        413 => "The body is too large.",
        415 => "The body must be JSON.",
        422 => "A limit, named in the detail.",
        428 => "If-Match is missing.",
        429 => "Too many requests; see Retry-After.",
        _ => "Draining or overloaded; see Retry-After.",
    }
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    for path in ["/openapi.json", "/api/v1/openapi.json"] {
        config.service(web::resource(path).route(web::get().to(openapi)));
    }
    config
        .service(web::resource("/docs").route(web::get().to(page)))
        .service(web::resource("/docs/page.js").route(web::get().to(script)))
        .service(web::resource("/docs/page.css").route(web::get().to(style)));
}

async fn openapi() -> impl Responder {
    HttpResponse::Ok().json(document())
}

async fn page() -> impl Responder {
    file("text/html; charset=utf-8", include_str!("docs/page.html"))
}

async fn script() -> impl Responder {
    file("text/javascript; charset=utf-8", include_str!("docs/page.js"))
}

async fn style() -> impl Responder {
    file("text/css; charset=utf-8", include_str!("docs/page.css"))
}

/// The page loads nothing from elsewhere and speaks to this server only.
fn file(content_type: &'static str, text: &'static str) -> HttpResponse {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
        connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_document_is_that_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        let text = serde_json::to_string_pretty(&document()).unwrap() + "\n";
        if std::env::var_os("SFU_BLESS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        let hint = "SFU_BLESS=1 cargo test --release -p sfu-server openapi";
        assert!(committed == text, "docs/openapi.json is stale: {hint}");
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_id_is_said_once() {
        let document = document();
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        let mut ids: Vec<&str> = OPERATIONS.iter().map(|operation| operation.id).collect();
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
