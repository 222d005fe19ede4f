//! A document by its id: JSON for programs, a readable page for people. What is for agents does not exist for others.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd};
use serde::Deserialize;

use super::{
    App,
    auth::IsAgent,
    error::{Failure, Problem},
    extract::{Name, Params},
};
use crate::{
    error::{Error, Result},
    store::Store,
    turn::phrases,
    words::{Audience, Document, Lang},
};

/// Which state of the document.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    revision: Option<String>,
    lang: Option<String>,
}

/// One document: that revision, or the one in force. Browsers get a page, others JSON.
#[utoipa::path(get, path = "/v1/documents/{id}", tag = "chat",
    params(
        ("id" = String, Path),
        ("revision" = Option<String>, Query, description = "As cited; the one in force when missing"),
        ("lang" = Option<String>, Query, description = "`zh` or `en`; either when missing"),
    ),
    responses(
        (status = 200, description = "The document: id, revision, lang, kind, title, body (Markdown) and more",
            content((Object = "application/json"), (String = "text/html"))),
        (status = "default", description = "Not as asked", body = Problem),
    )
)]
pub(super) async fn document(
    State(app): State<Arc<App>>,
    Name(id): Name,
    Params(which): Params<Which>,
    IsAgent(agent): IsAgent,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let lang = which.lang.as_deref().filter(|lang| !lang.is_empty()).map(str::parse).transpose()?;
    let found = find(app.bot.store(), &id, lang, which.revision.as_deref()).await;
    let document = match found {
        Ok(document) if document.audience == Audience::Customer || agent => document,
        // The same words as for one that is not there, so that nobody learns which internal notes exist.
        Ok(_) | Err(Error::NotFound { .. }) => {
            if wants_page(&headers) {
                return Ok((StatusCode::NOT_FOUND, Html(missing_page())).into_response());
            }
            let id = id.chars().filter(|c| !c.is_control()).take(80).collect();
            return Err(Error::NotFound { what: "document", id }.into());
        }
        Err(error) => return Err(error.into()),
    };
    let mut response =
        if wants_page(&headers) { Html(page(&document)).into_response() } else { Json(document).into_response() };
    let vary = HeaderValue::from_static("accept, authorization, cookie");
    response.headers_mut().insert(header::VARY, vary);
    Ok(response)
}

/// In the store, or among the compiled-in cards, which replies cite too.
async fn find(store: &Store, id: &str, lang: Option<Lang>, revision: Option<&str>) -> Result<Document> {
    match store.document(id, lang, revision).await {
        // The error names the language and revision too; the card is looked for by what was asked for.
        Err(Error::NotFound { what, id: missing }) => {
            let situation = id.strip_prefix("card-").unwrap_or_default();
            let card = phrases::card(situation, lang.unwrap_or(Lang::En));
            let card = card.filter(|card| revision.is_none_or(|revision| card.revision == revision)).cloned();
            card.ok_or(Error::NotFound { what, id: missing })
        }
        found => found,
    }
}

/// Whether a browser asks: it names HTML before anything that JSON would fit.
fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let first = accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
    first.take_while(|range| *range != "application/json" && *range != "*/*").any(|range| range == "text/html")
}

fn page(document: &Document) -> String {
    let lang = match document.lang {
        Lang::Zh => "zh-Hans",
        Lang::En => "en",
    };
    html(lang, document.title.as_str(), &rendered(document.body.as_str()), &document.revision)
}

/// For a person whose link is older than the documents; nobody's language is known here.
fn missing_page() -> String {
    let body = "<p>This page is no longer there. Please ask again in the chat.</p>\
                <p lang=\"zh-Hans\">这一页已经不在了，请回到聊天里再问一次。</p>";
    html("en", "Not found · 找不到", body, "")
}

/// A whole page; `body` is HTML, everything else text.
fn html(lang: &str, title: &str, body: &str, revision: &str) -> String {
    let (title, revision) = (escaped(title), escaped(revision));
    format!(
        "<!doctype html>\n<html lang=\"{lang}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"robots\" content=\"noindex\">\
         <title>{title}</title><link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"/web/page.css\"></head>\n\
         <body class=\"document\"><main><h1>{title}</h1>\n{body}\n<footer><code>{revision}</code></footer></main></body></html>\n"
    )
}

/// Markdown to HTML with the document's own HTML shown as text, no pictures, and links to web pages and documents only.
fn rendered(markdown: &str) -> String {
    let mut html = String::new();
    let mut open_links = Vec::new();
    let events = Parser::new_ext(markdown, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH).filter_map(
        |event| match event {
            Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
            Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => None,
            Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
            Event::Start(Tag::Link { dest_url, link_type, title, id }) => {
                let safe = link_type != LinkType::Email && is_safe_link(&dest_url);
                open_links.push(safe);
                safe.then_some(Event::Start(Tag::Link { link_type, dest_url, title, id }))
            }
            Event::End(TagEnd::Link) => open_links.pop().unwrap_or(false).then_some(Event::End(TagEnd::Link)),
            event => Some(event),
        },
    );
    pulldown_cmark::html::push_html(&mut html, events);
    html
}

fn is_safe_link(url: &str) -> bool {
    let lower = url.to_ascii_lowercase();
    lower.starts_with("https://") || lower.starts_with("http://") || lower.starts_with("/v1/documents/")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_documents_html_stays_text_and_its_links_stay_harmless() {
        let html = rendered(
            "# Hi\n\n<script>alert(1)</script>\n\na <img src=x onerror=alert(1)> b ![p](http://x/y.png)\n\n\
             [bad](javascript:alert(1)) [bad2](data:text/html,x) [good](https://a.example/) [doc](/v1/documents/fees)",
        );
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("javascript:"), "{html}");
        assert!(!html.contains("data:text"), "{html}");
        assert!(html.contains("&lt;script&gt;alert(1)"), "{html}");
        assert!(html.contains("<a href=\"https://a.example/\">good</a>"), "{html}");
        assert!(html.contains("<a href=\"/v1/documents/fees\">doc</a>"), "{html}");
        assert!(html.contains("<h1>Hi</h1>"), "{html}");
    }

    #[test]
    fn browsers_get_a_page_and_programs_json() {
        let accepts = |text: &str| wants_page(&HeaderMap::from_iter([(header::ACCEPT, text.parse().unwrap())]));
        assert!(accepts("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(!accepts("*/*"));
        assert!(!accepts("application/json, text/html"));
        assert!(!wants_page(&HeaderMap::new()));
    }
}
