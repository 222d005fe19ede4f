//! The pages and their modules, compiled in. Browsers keep them and ask whether they changed.

use std::{collections::HashMap, sync::LazyLock};

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use super::{
    error::{self, Failure, Problem},
    extract::Name,
};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Every file: its name, its type, its text.
const FILES: &[(&str, &str, &str)] = &[
    ("chat.html", HTML, include_str!("web/chat.html")),
    ("desk.html", HTML, include_str!("web/desk.html")),
    ("widget.js", SCRIPT, include_str!("web/widget.js")),
    ("widget.css", STYLE, include_str!("web/widget.css")),
    ("entry.js", SCRIPT, include_str!("web/entry.js")),
    ("facts.js", SCRIPT, include_str!("web/facts.js")),
    ("kept.js", SCRIPT, include_str!("web/kept.js")),
    ("words.js", SCRIPT, include_str!("web/words.js")),
    ("markdown.js", SCRIPT, include_str!("web/markdown.js")),
    ("masks.js", SCRIPT, include_str!("web/masks.js")),
    ("dom.js", SCRIPT, include_str!("web/dom.js")),
    ("desk.js", SCRIPT, include_str!("web/desk.js")),
    ("desk_words.js", SCRIPT, include_str!("web/desk_words.js")),
    ("case.js", SCRIPT, include_str!("web/case.js")),
    ("desk.css", STYLE, include_str!("web/desk.css")),
    ("page.css", STYLE, include_str!("web/page.css")),
];

struct File {
    content_type: &'static str,
    text: &'static str,
    tag: String,
}

static BY_NAME: LazyLock<HashMap<&'static str, File>> = LazyLock::new(|| {
    let file = |(name, content_type, text): &(&'static str, &'static str, &'static str)| {
        let tag = format!("\"{}\"", hex::encode(&Sha256::digest(text)[..8]));
        (*name, File { content_type, text, tag })
    };
    FILES.iter().map(file).collect()
});

/// The chat page.
#[utoipa::path(get, path = "/", tag = "pages", responses((status = 200, description = "The chat", content_type = "text/html", body = String)))]
pub(super) async fn chat(headers: HeaderMap) -> Response {
    send("chat.html", &headers).await
}

/// The desk.
#[utoipa::path(get, path = "/desk", tag = "pages", responses((status = 200, description = "The desk", content_type = "text/html", body = String)))]
pub(super) async fn desk(headers: HeaderMap) -> Response {
    send("desk.html", &headers).await
}

/// A module or a style sheet of the pages.
#[utoipa::path(get, path = "/web/{file}", tag = "pages", params(("file" = String, Path)), responses(
    (status = 200, description = "The file", content_type = "text/javascript", body = String),
    (status = 404, description = "No such file", body = Problem),
))]
pub(super) async fn module(Name(file): Name, headers: HeaderMap) -> Result<Response, Failure> {
    match BY_NAME.get(file.as_str()) {
        // Pages have addresses of their own, with their own rules about frames.
        Some(found) if found.content_type != HTML => Ok(send(&file, &headers).await),
        _ => Err(error::no_such_page().await),
    }
}

async fn send(name: &str, headers: &HeaderMap) -> Response {
    let Some(file) = BY_NAME.get(name) else { return error::no_such_page().await.into_response() };
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // A compressing layer makes the tag a weak one; it names the same text.
    let unchanged = known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == file.tag);
    let mut response = if unchanged { StatusCode::NOT_MODIFIED.into_response() } else { file.text.into_response() };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&file.tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// What an app loads that embeds the chat.
    const WIDGET: [&str; 9] =
        ["widget.js", "widget.css", "entry.js", "facts.js", "kept.js", "words.js", "markdown.js", "masks.js", "dom.js"];

    #[test]
    fn the_widget_stays_under_30_kb_gzipped() {
        let size = |name: &str| {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            gzip.write_all(BY_NAME[name].text.as_bytes()).unwrap();
            gzip.finish().unwrap().len()
        };
        let total: usize = WIDGET.iter().map(|name| size(name)).sum();
        println!("the widget has {total} bytes gzipped");
        assert!(total < 30_000, "{total} bytes");
    }

    #[test]
    fn the_widget_loads_nothing_else() {
        for name in WIDGET {
            for line in BY_NAME[name].text.lines().filter(|line| line.starts_with("import ")) {
                let imported = line.split("\"./").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
                assert!(WIDGET.contains(&imported), "{name} imports {imported}");
            }
        }
    }

    /// `this.id = null` on an element sets the attribute to the text "null": the chat once spoke to a conversation of that
    /// name on every first visit.
    #[test]
    fn the_chat_keeps_nothing_under_a_name_that_elements_have() {
        let taken = regex::Regex::new(r"\bthis\.(id|lang|title|hidden|dir|slot|style|role|part)\s*=[^=]").unwrap();
        assert!(taken.is_match("this.id = null"));
        assert_eq!(taken.find(BY_NAME["widget.js"].text).map(|found| found.as_str()), None);
    }

    #[test]
    fn nothing_said_can_become_markup_or_script() {
        for (name, _, text) in FILES {
            for forbidden in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc"]
            {
                assert!(!text.contains(forbidden), "{name} uses {forbidden}");
            }
            if name.ends_with(".html") {
                let inline = text.contains("<style") || text.contains("style=\"") || text.contains(" onclick=");
                assert!(!inline && !text.contains("<script>"), "{name} has inline script or style");
            }
        }
    }
}
