//! Long lists, a page at a time: `limit` and an opaque `cursor`, which is where the last page
//! ended. Lists have a stable order, so nothing is seen twice or left out that was there all along.

use actix_web::web::Query;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Problem;

/// Entries of a page, unless asked otherwise.
const LIMIT: usize = 100;
/// Entries of a page at most.
const LIMIT_MAX: usize = 1000;
/// Longest cursor: a name of a room in base64, and some.
const CURSOR_BYTES_MAX: usize = 512;

/// The query of a list.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// At most so many, 1 to 1000; 100 if absent.
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

impl Page {
    /// Reads the query of a request.
    pub(super) fn of(request: &actix_web::HttpRequest) -> Result<Self, Problem> {
        let query = Query::<Self>::from_query(request.query_string());
        Ok(query.map_err(|e| Problem::malformed(e.to_string()))?.into_inner())
    }

    /// The entries of this page, and the cursor of the next one if there is more. `entries` are in
    /// the order of their keys.
    pub(super) fn cut<T>(
        &self,
        mut entries: Vec<T>,
        key: impl Fn(&T) -> String,
    ) -> Result<(Vec<T>, Option<String>), Problem> {
        let limit = self.limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Problem::malformed(format!("limit must be 1 to {LIMIT_MAX}")));
        }
        if let Some(cursor) = &self.cursor {
            let after = Self::read(cursor).ok_or_else(|| Problem::malformed("no such cursor"))?;
            entries.retain(|entry| key(entry) > after);
        }
        let is_more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries.last().filter(|_| is_more).map(|last| URL_SAFE_NO_PAD.encode(key(last)));
        Ok((entries, next))
    }

    fn read(cursor: &str) -> Option<String> {
        let bytes = Some(cursor).filter(|cursor| cursor.len() <= CURSOR_BYTES_MAX)?;
        String::from_utf8(URL_SAFE_NO_PAD.decode(bytes).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(limit: Option<usize>, cursor: Option<String>) -> Page {
        Page { limit, cursor }
    }

    #[test]
    fn pages_together_are_the_list() {
        let all: Vec<String> = (0..7).map(|n| format!("room {n}")).collect();
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let (entries, next) = page(Some(3), cursor).cut(all.clone(), String::clone).unwrap();
            seen.extend(entries);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, all);
        let (entries, next) = page(Some(7), None).cut(all.clone(), String::clone).unwrap();
        assert_eq!((entries.len(), next), (7, None));
    }

    #[test]
    fn nonsense_is_refused() {
        for (limit, cursor) in [
            (Some(0), None),
            (Some(LIMIT_MAX + 1), None),
            (None, Some("!".to_owned())),
            (None, Some(URL_SAFE_NO_PAD.encode([0xff]))),
            (None, Some("A".repeat(CURSOR_BYTES_MAX + 4))),
        ] {
            assert!(page(limit, cursor).cut(vec![String::new()], String::clone).is_err());
        }
    }
}
