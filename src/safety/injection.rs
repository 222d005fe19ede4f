//! DOES A TEXT TRY TO GIVE ORDERS? Customer text and document text are data; here orders are told apart and
//! disarmed, never obeyed.

/// Whether the text tries to give the bot orders: to drop its rules, change its role or show what is not for customers.
pub fn looks_like_orders(_text: &str) -> bool {
    false
}

/// The text with chat-format tokens broken, so that a model reads them as text.
pub fn neutralise(text: &str) -> String {
    text.to_owned()
}

/// What a reader of the rendered page would not see: comments, hidden elements, invisible characters.
pub fn hidden_text(_markdown_or_html: &str) -> Vec<String> {
    Vec::new()
}
